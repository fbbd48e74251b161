# What the trial deploys: the module, and what its steps need besides. `settings` are inputs of the module that a step of
# the trial changes; what is not in it has the module's own default.

terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100" # step 2 plans with the newest 6 as well
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = var.tags
  }
}

variable "name" {
  description = "Name of the deployment, and the prefix of everything in it."
  type        = string
}

variable "region" {
  description = "AWS Region."
  type        = string
}

variable "tags" {
  description = "Tags for everything that takes tags."
  type        = map(string)
}

variable "package" {
  description = "Path of the zip with the trial's workflows."
  type        = string
}

variable "layer_zip" {
  description = "Path of the engine's layer zip."
  type        = string
}

variable "network" {
  description = "Whether there is a key of our own, and a VPC for the worker."
  type        = bool
  default     = false
}

variable "private" {
  description = "Whether the module uses them. Apply once with `network` alone: provider 5 cannot move a function into a VPC of the same apply."
  type        = bool
  default     = false
}

variable "may_write_elsewhere" {
  description = "Whether the worker may write the table `elsewhere`: a right that one step of the trial adds."
  type        = bool
  default     = false
}

variable "settings" {
  description = "Inputs of the module."
  type        = any
  default     = {}
}

# What Auto Scaling has set stays, once capacity is scaled.
module "capacity" {
  source = "../../../modules/fluxio/modules/capacity"
  count  = try(var.settings.billing.mode, "") == "PROVISIONED" ? 1 : 0

  name = var.name
}

module "fluxio" {
  source = "../../../modules/fluxio"

  name      = var.name
  package   = var.package
  layer_zip = var.layer_zip

  alarms                  = try(var.settings.alarms, null)
  architecture            = try(var.settings.architecture, null)
  billing                 = try(merge(var.settings.billing, { current = one(module.capacity[*].current) }), null)
  log_format              = try(var.settings.log_format, null)
  log_level               = try(var.settings.log_level, null)
  maximum_concurrency     = try(var.settings.maximum_concurrency, null)
  memory_size             = try(var.settings.memory_size, null)
  provisioned_concurrency = try(var.settings.provisioned_concurrency, null)
  reserved_concurrency    = try(var.settings.reserved_concurrency, null)
  retention_days          = try(var.settings.retention_days, null)
  runtime                 = try(var.settings.runtime, null)
  timeout                 = try(var.settings.timeout, null)
  tracing                 = try(var.settings.tracing, null)

  environment = {
    LEDGER_TABLE    = aws_dynamodb_table.ledger.name
    ELSEWHERE_TABLE = aws_dynamodb_table.elsewhere.name
  }

  policy_statements = concat(
    [{ sid = "Ledger", actions = ["dynamodb:UpdateItem"], resources = [aws_dynamodb_table.ledger.arn] }],
    [
      for table in [aws_dynamodb_table.elsewhere] : { sid = "Elsewhere", actions = ["dynamodb:PutItem"], resources = [table.arn] }
      if var.may_write_elsewhere
    ],
  )

  kms_key_arn = var.private ? one(aws_kms_key.runs[*].arn) : null

  vpc = var.private ? {
    subnet_ids         = aws_subnet.worker[*].id
    security_group_ids = aws_security_group.worker[*].id
  } : null
}

# ---- Tables of the steps ----------------------------------------------------------------------------------------------

# Counters that transactions of steps and plain updates change at once.
resource "aws_dynamodb_table" "ledger" {
  name         = "${var.name}-ledger"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

# What a step writes with a right that it has just been given.
resource "aws_dynamodb_table" "elsewhere" {
  name         = "${var.name}-elsewhere"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

# ---- A client and an operator, with the policies that the module gives out --------------------------------------------

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  policies = {
    client   = module.fluxio.client_policy_json
    operator = module.fluxio.operator_policy_json
  }
}

resource "aws_iam_role" "user" {
  for_each = toset(["client", "operator"])

  name = "${var.name}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
    }]
  })
}

resource "aws_iam_role_policy" "user" {
  for_each = aws_iam_role.user

  name   = "fluxio"
  role   = each.value.name
  policy = local.policies[each.key]
}

# ---- Outputs ----------------------------------------------------------------------------------------------------------

output "client_environment" {
  value = module.fluxio.client_environment
}

output "table_name" {
  value = module.fluxio.table_name
}

output "queue_url" {
  value = module.fluxio.queue_url
}

output "dlq_url" {
  value = module.fluxio.dlq_url
}

output "worker" {
  value = module.fluxio.worker_function_name
}

output "log_group" {
  value = module.fluxio.log_group_name
}

output "alarms" {
  value = [for arn in concat(values(module.fluxio.alarm_arns), [module.fluxio.composite_alarm_arn]) : split(":alarm:", arn)[1]]
}

output "ledger" {
  value = aws_dynamodb_table.ledger.name
}

output "roles" {
  value = { for name, role in aws_iam_role.user : name => role.arn }
}
