# Runs that start by the clock.

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

  name      = "reports"
  package   = var.package
  layer_zip = var.layer_zip

  schedules = {
    nightly = {
      workflow   = "SalesReport"
      expression = "cron(0 2 * * ? *)"
      timezone   = "Europe/Berlin" # summer time included

      # A step's parameter `at` gets the time for which the run was scheduled.
      input = jsonencode({ at = "<aws.scheduler.scheduled-time>", regions = ["eu", "us"] })
    }
  }
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
