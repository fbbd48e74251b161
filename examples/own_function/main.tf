# A Lambda function of your own as the worker: where functions are made by a module of the company's, or need what this
# one does not set. The module adds the rest: table, queues, mapping, schedule, alarms.

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

  name              = "orders-own"
  timeout           = local.timeout
  tracing           = "Active"
  existing_function = aws_lambda_function.orders
}

locals {
  # The queue's visibility is made from it as well, so module and function must know it before either is there.
  timeout = 120
}

# Only the engine, as a layer.
module "layer" {
  # Of a release: "https://<host>/terraform-aws-fluxio-<version>.zip//modules/layer?checksum=sha256:<checksum>".
  source = "../../modules/fluxio/modules/layer"

  name      = "orders-own-engine"
  layer_zip = var.layer_zip

  # Where functions of other stacks find it: data.aws_ssm_parameter, or {{resolve:ssm:…}} in CloudFormation.
  parameter_name = "/orders-own/fluxio-layer"
}

resource "aws_lambda_function" "orders" {
  #checkov:skip=CKV_AWS_115:how many may run at once is the account's affair; complete shows both limits
  #checkov:skip=CKV_AWS_116:its only asynchronous caller is the sweep, which comes again each minute
  #checkov:skip=CKV_AWS_117:it calls nothing in a VPC; customer_key_and_vpc does
  #checkov:skip=CKV_AWS_173:its environment holds no secret; customer_key_and_vpc has a key
  #checkov:skip=CKV_AWS_272:who may sign code is the account's affair
  function_name    = "orders-own"
  role             = aws_iam_role.orders.arn
  runtime          = "python3.12"
  handler          = "fluxio.worker.lambda_handler" # or your own, which calls this one
  layers           = [module.layer.layer_arn]
  timeout          = local.timeout
  memory_size      = 512
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)

  environment {
    variables = merge(module.fluxio.worker_environment, { CARD_NETWORK = "https://cards.example.com" })
  }

  tracing_config {
    mode = "Active"
  }
}

resource "aws_iam_role" "orders" {
  name = "orders-own"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } },
    ]
  })
}

# What the engine needs.
resource "aws_iam_role_policy" "fluxio" {
  name   = "fluxio"
  role   = aws_iam_role.orders.name
  policy = module.fluxio.worker_policy_json
}

resource "aws_cloudwatch_log_group" "orders" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts it with a key of AWS's; customer_key_and_vpc has one of its own
  name              = "/aws/lambda/orders-own"
  retention_in_days = 365
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

