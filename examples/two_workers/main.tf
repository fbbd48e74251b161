# Two deployments in one account and Region, each with its own team, package, table and alarms. A step of the one starts
# a run in the other.

terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

module "shipping" {
  # Of a release: "https://<host>/terraform-aws-fluxio-<version>.zip?checksum=sha256:<checksum>", and no layer_zip.
  source = "../../modules/fluxio"

  name      = "shipping"
  package   = var.shipping_package
  layer_zip = var.layer_zip
}

module "sales" {
  source = "../../modules/fluxio"

  name      = "sales"
  package   = var.sales_package
  layer_zip = var.layer_zip

  # The worker's own FLUXIO_… variables lead to its own table, so the other's go by other names.
  environment = {
    SHIPPING_TABLE_NAME = module.shipping.client_environment.FLUXIO_TABLE_NAME
    SHIPPING_QUEUE_URL  = module.shipping.client_environment.FLUXIO_QUEUE_URL
  }
}

# Sales is a client of shipping, like any other service.
resource "aws_iam_role_policy" "sales_starts_shipments" {
  name   = "start-shipments"
  role   = module.sales.worker_role_name
  policy = module.shipping.client_policy_json
}

variable "sales_package" {
  description = "Path of the zip with the steps of sales."
  type        = string
}

variable "shipping_package" {
  description = "Path of the zip with the steps of shipping."
  type        = string
}

variable "layer_zip" {
  description = "Path of the engine's layer zip, as `make layer` builds it. A release of the module has it inside: leave it out there."
  type        = string
  default     = null
}

output "sales" {
  description = "What a client of sales needs in its environment."
  value       = module.sales.client_environment
}

output "shipping" {
  description = "What a client of shipping needs in its environment."
  value       = module.shipping.client_environment
}
