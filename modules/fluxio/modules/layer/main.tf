# The engine as a Lambda layer. ../.. uses this for its worker; use it by itself for a function of your own:
#
#     module "fluxio_layer" {
#       source = "<where the fluxio module comes from>//modules/layer"
#       name   = "orders-engine"
#     }

resource "aws_lambda_layer_version" "engine" {
  count = var.layer_arn == null ? 1 : 0

  layer_name               = var.name
  description              = join(" ", compact(["fluxio engine", local.zip_version]))
  filename                 = var.layer_s3 == null ? local.zip : null
  source_code_hash         = var.layer_s3 == null ? filebase64sha256(local.zip) : null
  s3_bucket                = try(var.layer_s3.bucket, null)
  s3_key                   = try(var.layer_s3.key, null)
  s3_object_version        = try(var.layer_s3.version, null)
  compatible_runtimes      = var.runtimes
  compatible_architectures = [var.architecture]

  lifecycle {
    # A function must never be without the layer it names.
    create_before_destroy = true

    # A layer version is what is in it: where the zip lay on the machine that published it is no reason for another one.
    # Once the content has changed, the new version is made from the path as it is then: Terraform ignores nothing in what
    # it makes anew.
    ignore_changes = [filename]

    precondition {
      condition     = local.zip != null || var.layer_s3 != null
      error_message = "Give the engine: layer_zip (the file that `make layer` builds), layer_s3 (that file in a bucket) or layer_arn (a published layer version). None is set, and only a release of the module has its layer inside."
    }

    precondition {
      condition     = var.layer_zip == null || var.layer_s3 == null
      error_message = "Give the engine exactly once: layer_zip (the file that `make layer` builds) or layer_s3 (that file in a bucket). Both are set."
    }

    precondition {
      condition     = !can(regex("-(x86_64|arm64)[.]zip$", lower(local.zip_name))) || endswith(lower(local.zip_name), "-${var.architecture}.zip")
      error_message = "The layer's zip is ${local.zip_name} but architecture is \"${var.architecture}\": the worker could not import it. Give the zip that ends in -${var.architecture}.zip, or set architecture to match."
    }

    precondition {
      condition     = !can(regex("^fluxio-layer-[0-9]", local.zip_name)) || startswith(local.zip_name, "fluxio-layer-${local.series}.")
      error_message = "The layer's zip is ${local.zip_name}, but this is version ${local.version} of the module, which takes a layer of version ${local.series}.x only: others may lay out the table differently. Give the layer zip of this version, leave layer_zip out where the module comes from a release (it has its layer inside), or take the module of the layer's version."
    }
  }
}

# A layer that others published: its description is all that tells its version.
data "aws_lambda_layer_version" "published" {
  count = var.layer_arn == null ? 0 : 1

  layer_name = regex("^(.*):[0-9]+$", var.layer_arn)[0]
  version    = tonumber(regex("[0-9]+$", var.layer_arn))

  lifecycle {
    precondition {
      condition     = var.layer_zip == null && var.layer_s3 == null
      error_message = "Give the engine exactly once: layer_zip (the file that `make layer` builds), layer_s3 (that file in a bucket) or layer_arn (a published layer version). More than one is set."
    }

    postcondition {
      condition     = !can(regex("^fluxio engine [0-9]", self.description)) || startswith(self.description, "fluxio engine ${local.series}.")
      error_message = "layer_arn is a \"${self.description}\", but this is version ${local.version} of the module, which takes a layer of version ${local.series}.x only: others may lay out the table differently. Publish the layer of this version, or take the module of the layer's version."
    }
  }
}

locals {
  # Put together, and not read as a whole: then Terraform knows before the layer is made that this is not null, and it can be
  # another module's `layer_arn` in the same configuration.
  layer_arn = var.layer_arn == null ? "${aws_lambda_layer_version.engine[0].layer_arn}:${aws_lambda_layer_version.engine[0].version}" : var.layer_arn
}

# Where other stacks look the layer up, without a share in this one's state.
resource "aws_ssm_parameter" "layer_arn" {
  #checkov:skip=CKV2_AWS_34:an ARN is no secret, and a stack that reads it should need no key
  #checkov:skip=CKV_AWS_337:as above
  count = var.parameter_name == null ? 0 : 1

  name        = var.parameter_name
  description = "ARN of the layer version with the fluxio engine ${local.version}"
  type        = "String"
  value       = local.layer_arn
  tags        = var.tags
}
