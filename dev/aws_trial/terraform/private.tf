# A key of our own, and subnets without a way to the internet: endpoints lead to what the worker calls.

locals {
  zones = var.network ? slice(data.aws_availability_zones.available[0].names, 0, 2) : []
}

data "aws_availability_zones" "available" {
  count = var.network ? 1 : 0

  state = "available"
}

data "aws_region" "current" {}

resource "aws_kms_key" "runs" {
  count = var.network ? 1 : 0

  description             = "Runs of ${var.name}"
  deletion_window_in_days = 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountsOwnPoliciesHold"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "CloudWatchLogsEncryptsTheWorkersLog"
        Effect    = "Allow"
        Principal = { Service = "logs.${data.aws_region.current.id}.amazonaws.com" }
        Action    = ["kms:Decrypt*", "kms:DescribeKey", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
      },
    ]
  })
}

resource "aws_vpc" "this" {
  count = var.network ? 1 : 0

  cidr_block           = "10.77.0.0/24"
  enable_dns_hostnames = true
}

resource "aws_subnet" "worker" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(aws_vpc.this[0].cidr_block, 2, count.index)
}

resource "aws_security_group" "worker" {
  count = var.network ? 1 : 0

  name        = "${var.name}-worker"
  description = "The worker, and the endpoint that it calls"
  vpc_id      = aws_vpc.this[0].id

  ingress {
    description = "The worker"
    self        = true
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
  }

  egress {
    description = "HTTPS"
    cidr_blocks = ["0.0.0.0/0"]
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
  }
}

resource "aws_vpc_endpoint" "dynamodb" {
  count = var.network ? 1 : 0

  vpc_id          = aws_vpc.this[0].id
  service_name    = "com.amazonaws.${data.aws_region.current.id}.dynamodb"
  route_table_ids = [aws_vpc.this[0].main_route_table_id]
}

resource "aws_vpc_endpoint" "sqs" {
  count = var.network ? 1 : 0

  vpc_id              = aws_vpc.this[0].id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${data.aws_region.current.id}.sqs"
  subnet_ids          = aws_subnet.worker[*].id
  security_group_ids  = aws_security_group.worker[*].id
  private_dns_enabled = true
}
