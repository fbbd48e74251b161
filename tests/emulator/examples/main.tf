# Every example in one root, so that one apply, one plan and one destroy are enough for all of them.

terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

variable "packages" {
  description = "Paths of the zips with the steps: of order_fulfillment, of nightly_report, and of the two that two_workers has."
  type        = object({ orders = string, reports = string, sales = string, shipping = string })
}

variable "layer_zip" {
  description = "Path of the engine's layer zip."
  type        = string
}

# Something of the caller's, on which a module depends as a whole.
variable "theirs" {
  description = "Its only property."
  type        = string
  default     = "as it was"
}

resource "terraform_data" "theirs" {
  input = var.theirs
}

module "minimal" {
  source = "../../../examples/minimal"

  package   = var.packages.orders
  layer_zip = var.layer_zip

  depends_on = [terraform_data.theirs]
}

module "complete" {
  source = "../../../examples/complete"

  package              = var.packages.orders
  layer_zip            = var.layer_zip
  permissions_boundary = aws_iam_policy.boundary.arn
  deletion_protection  = false # it would keep the destroy from destroying
}

module "customer_key_and_vpc" {
  source = "../../../examples/customer_key_and_vpc"

  package         = var.packages.orders
  layer_zip       = var.layer_zip
  vpc_id          = aws_vpc.existing.id
  subnet_ids      = [aws_subnet.existing.id]
  route_table_ids = [aws_vpc.existing.main_route_table_id]
}

module "own_function" {
  source = "../../../examples/own_function"

  package   = var.packages.orders
  layer_zip = var.layer_zip
}

module "provisioned" {
  source = "../../../examples/provisioned"

  package   = var.packages.orders
  layer_zip = var.layer_zip
}

module "two_workers" {
  source = "../../../examples/two_workers"

  sales_package    = var.packages.sales
  shipping_package = var.packages.shipping
  layer_zip        = var.layer_zip
}

module "nightly_report" {
  source = "../../../examples/nightly_report"

  package   = var.packages.reports
  layer_zip = var.layer_zip
}

# What some of them expect to be there already.

resource "aws_iam_policy" "boundary" {
  name = "boundary"

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "*", Resource = "*" }]
  })
}

resource "aws_vpc" "existing" {
  cidr_block           = "10.0.0.0/24"
  enable_dns_hostnames = true
}

resource "aws_subnet" "existing" {
  vpc_id     = aws_vpc.existing.id
  cidr_block = "10.0.0.0/26"
}

# What clients need, by deployment.
output "clients" {
  value = {
    minimal              = module.minimal.client_environment
    complete             = module.complete.client_environment
    customer_key_and_vpc = module.customer_key_and_vpc.client_environment
    own_function         = module.own_function.client_environment
    provisioned          = module.provisioned.client_environment
    reports              = module.nightly_report.client_environment
    sales                = module.two_workers.sales
    shipping             = module.two_workers.shipping
  }
}
