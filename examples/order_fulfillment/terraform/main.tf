# A fluxio deployment: a provider and one module block. With `endpoint` set, the same deployment goes to an AWS emulator.

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
  source = "../../../modules/fluxio"

  name      = var.name
  package   = var.package
  layer_zip = var.layer_zip
  timeout   = 60
  tracing   = var.tracing

  park_after = var.park_after

  # The name of the layer's file ends in the architecture it was built for.
  architecture = endswith(var.layer_zip, "-arm64.zip") ? "arm64" : "x86_64"

  # MiniStack, the emulator, does not know saved queries.
  saved_queries = var.endpoint == null
}

provider "aws" {
  region = var.region

  # All that follows is for an emulator; on AWS `endpoint` is null and none of it applies.
  access_key                  = var.endpoint == null ? null : "test"
  secret_key                  = var.endpoint == null ? null : "test"
  skip_credentials_validation = var.endpoint != null
  skip_metadata_api_check     = var.endpoint != null
  skip_region_validation      = var.endpoint != null
  max_retries                 = var.endpoint == null ? null : 2

  endpoints {
    cloudwatch = var.endpoint
    dynamodb   = var.endpoint
    iam        = var.endpoint
    kms        = var.endpoint
    lambda     = var.endpoint
    logs       = var.endpoint
    scheduler  = var.endpoint
    sqs        = var.endpoint
    sts        = var.endpoint
  }
}
