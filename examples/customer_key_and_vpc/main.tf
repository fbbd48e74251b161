# Runs encrypted with a key of your own, and a worker in your own subnets: for steps that reach a database there, where
# nothing may leave for the internet.

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

  name        = "orders-private"
  package     = var.package
  layer_zip   = var.layer_zip
  kms_key_arn = aws_kms_key.runs.arn

  vpc = {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.worker.id]
  }
}

# ---- The key --------------------------------------------------------------------------------------------------------

resource "aws_kms_key" "runs" {
  description         = "Runs of orders-private: table, queues, log and environment"
  enable_key_rotation = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Whoever else may use the key is said in IAM: the worker by the module, a client by client_policy_json.
        Sid       = "TheAccountsOwnPoliciesHold"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        # CloudWatch Logs has no role of yours: it must be named here.
        Sid       = "CloudWatchLogsEncryptsTheWorkersLog"
        Effect    = "Allow"
        Principal = { Service = "logs.${data.aws_region.current.id}.amazonaws.com" }
        Action    = ["kms:Decrypt*", "kms:DescribeKey", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = {
          ArnEquals = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group:/aws/lambda/orders-private-worker"
          }
        }
      },
    ]
  })
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

# ---- The network ----------------------------------------------------------------------------------------------------

resource "aws_security_group" "worker" {
  name        = "orders-private-worker"
  description = "The worker: nothing comes in, HTTPS goes to AWS"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  description       = "HTTPS, as far as the subnets have routes: to the endpoints below"
  security_group_id = aws_security_group.worker.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_security_group" "endpoint" {
  name        = "orders-private-sqs"
  description = "The endpoint of SQS: the worker comes in"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "from_worker" {
  description                  = "The worker"
  security_group_id            = aws_security_group.endpoint.id
  referenced_security_group_id = aws_security_group.worker.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# The two services that the engine calls from within the VPC; its log and its start are Lambda's own affair. Leave these
# out where the subnets have a way out (NAT), or the endpoints already.
resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id          = var.vpc_id
  service_name    = "com.amazonaws.${data.aws_region.current.id}.dynamodb"
  route_table_ids = var.route_table_ids
}

resource "aws_vpc_endpoint" "sqs" {
  vpc_id              = var.vpc_id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${data.aws_region.current.id}.sqs"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoint.id]
  private_dns_enabled = true
}

# ---- What is there already ------------------------------------------------------------------------------------------

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Its subnets for the worker, better two, in different availability zones."
  type        = list(string)
}

variable "route_table_ids" {
  description = "The route tables of these subnets: they are told the way to DynamoDB."
  type        = list(string)
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

