# Runs that start by the clock, and whoever wants to hear of their end.

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

  run_events = { topic_arn = aws_sns_topic.reports.arn }
}

# Subscribed to by what waits for the reports. By SNS's filter on the message's body, or here by `statuses`, one hears of failures only.
resource "aws_sns_topic" "reports" {
  #checkov:skip=CKV_AWS_26:an event says that a run has ended, and nothing of what it works on
  name = "reports-ended"
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

output "ended_topic_arn" {
  description = "ARN of the topic that hears of each report's end."
  value       = aws_sns_topic.reports.arn
}

output "client_environment" {
  description = "What a client needs in its environment."
  value       = module.fluxio.client_environment
}
