# What a team in production sets, by group. Every value differs from the default; what is not here has a default that
# such a team would keep.

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

  name      = "orders-production"
  package   = var.package
  layer_zip = var.layer_zip
  tags      = { service = "orders", environment = "production", owner = "team-orders" }

  # How the worker runs. arm64 costs less; what is compiled in the package must be built for it.
  architecture    = "arm64"
  runtime         = "python3.13"
  memory_size     = 1024
  timeout         = 300
  environment     = { CARD_NETWORK = "https://cards.example.com" }
  inline_branches = 5

  # Of the account's quota, for this worker alone; of these for the queue, so that the rest are left to the sweep. AWS wants 100
  # of the quota left over. A new account's whole quota may be 10 (`aws lambda get-account-settings`): leave both out
  # there, set maximum_concurrency = 5, and ask AWS for 1,000.
  reserved_concurrency = 100
  maximum_concurrency  = 90

  # What the steps may do besides.
  policy_statements = [
    {
      sid       = "WriteInvoices"
      actions   = ["s3:PutObject"]
      resources = ["arn:aws:s3:::example-invoices/*"]
      conditions = [
        { test = "StringEquals", variable = "s3:x-amz-server-side-encryption", values = ["aws:kms"] },
      ]
    },
  ]

  # The account's own rules for roles.
  role_path            = "/orders/"
  permissions_boundary = var.permissions_boundary

  # The table and what is kept in it.
  deletion_protection    = var.deletion_protection
  point_in_time_recovery = { days = 14 }
  retention_days         = 365
  billing                = { max_read_units = 5000, max_write_units = 5000 } # bounds what a mistake may cost

  # What can be seen of it.
  log_retention_days = 365
  log_format         = "Text"
  tracing            = "Active"

  # Who is told. The composite alarm calls somebody once, the others say what it is about.
  alarm_actions           = [aws_sns_topic.orders.arn]
  composite_alarm_actions = [aws_sns_topic.on_call.arn]

  # What reacts to a failed order by itself listens to a bus.
  run_events = {
    event_bus_arn = aws_cloudwatch_event_bus.orders.arn
    statuses      = ["FAILED", "CANCELLED"]
  }

  alarms = {
    runs_failed     = { threshold = 10 }
    worker_duration = { enabled = false } # steps of minutes are normal here
  }
}

# Where services hear of orders.
resource "aws_cloudwatch_event_bus" "orders" {
  name = "orders-production"
}

# Read by the team in the morning.
resource "aws_sns_topic" "orders" {
  #checkov:skip=CKV_AWS_26:CloudWatch cannot publish to a topic with the AWS managed key; an alarm says nothing of what runs work on
  name = "orders-production-alarms"
}

# Subscribed to by the pager.
resource "aws_sns_topic" "on_call" {
  #checkov:skip=CKV_AWS_26:CloudWatch cannot publish to a topic with the AWS managed key; an alarm says nothing of what runs work on
  name = "orders-production-on-call"
}

# The service that starts runs and waits for them.
resource "aws_iam_policy" "client" {
  name   = "orders-production-client"
  policy = module.fluxio.client_policy_json
}

# Whoever mends runs with the command `fluxio`.
resource "aws_iam_policy" "operator" {
  name   = "orders-production-operator"
  policy = module.fluxio.operator_policy_json
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

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role of this account, if it demands one."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table. Set it to false and apply before you destroy."
  type        = bool
  default     = true
}

output "client_environment" {
  description = "What a client needs in its environment."
  value       = module.fluxio.client_environment
}

output "needs_a_person" {
  description = "ARN of the one alarm that is raised while any other is."
  value       = module.fluxio.composite_alarm_arn
}
