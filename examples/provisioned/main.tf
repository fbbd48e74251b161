# Capacity that is paid by the hour instead of by request, for a load that is known and steady: of the table, and of
# the worker, whose runs then never wait for a start.

terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

module "fluxio" {
  # Of a release: "https://<host>/terraform-aws-fluxio-<version>.zip?checksum=sha256:<checksum>", and no layer_zip.
  source = "../../modules/fluxio"

  name      = "orders-provisioned"
  package   = var.package
  layer_zip = var.layer_zip

  # Of the table and of each of its three indexes, scaled so that about 70 % of it are used.
  billing = {
    mode    = "PROVISIONED"
    read    = { min = 5, max = 100 }
    write   = { min = 10, max = 400, utilization = 60 } # room for a burst, until more capacity is there
    current = module.capacity.current                   # what Auto Scaling has set stays
  }

  # Environments that are always ready: as many as runs are worked on at once on an ordinary day. They come out of the account's
  # quota, of which AWS wants 100 left over. A new account's whole quota may be 10: see `aws lambda get-account-settings`,
  # and ask for 1,000 first.
  provisioned_concurrency = 2
}

# Looks up what Auto Scaling has set since the last apply. Keep `depends_on` away from it.
module "capacity" {
  # Of a release: "https://<host>/terraform-aws-fluxio-<version>.zip//modules/capacity?checksum=sha256:<checksum>".
  source = "../../modules/fluxio/modules/capacity"

  name = "orders-provisioned"
}

variable "package" {
  description = "Path of the zip with the steps and their manifest."
  type        = string
}

variable "layer_zip" {
  description = "Path of the engine's layer zip, as `make layer` builds it. A release of the module has it inside: leave it out there."
  type        = string
  default     = null
}

output "client_environment" {
  description = "What a client needs in its environment."
  value       = module.fluxio.client_environment
}

