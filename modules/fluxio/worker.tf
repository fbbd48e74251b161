# The worker: the engine comes from the layer, the steps from the user's zip. One function serves both of its callers,
# the queue and the schedule.

resource "aws_lambda_layer_version" "engine" {
  count = local.layer_zip == null ? 0 : 1

  layer_name               = local.names.layer
  description              = "fluxio engine"
  filename                 = local.layer_zip
  source_code_hash         = filebase64sha256(local.layer_zip)
  compatible_runtimes      = [var.runtime]
  compatible_architectures = [var.architecture]

  lifecycle {
    # The worker must never be without the layer it names.
    create_before_destroy = true

    precondition {
      condition     = !can(regex("-(x86_64|arm64)[.]zip$", local.layer_zip)) || endswith(local.layer_zip, "-${var.architecture}.zip")
      error_message = "layer_zip is ${local.layer_zip_name} but architecture is \"${var.architecture}\": the worker could not import it. Give the zip that ends in -${var.architecture}.zip, or set architecture to match."
    }

    precondition {
      condition     = local.layer_fits
      error_message = "layer_zip is ${local.layer_zip_name}, but this is version ${local.version} of the module, which takes a layer of version ${local.series}.x only: others may lay out the table differently. Give the layer zip of this version, leave layer_zip out where the module comes from a release (it has its layer inside), or take the module of the layer's version."
    }
  }
}

resource "aws_lambda_function" "worker" {
  function_name = local.names.worker
  description   = "fluxio worker: runs the steps of workflows"
  role          = aws_iam_role.worker.arn
  handler       = var.handler
  runtime       = var.runtime
  architectures = [var.architecture]
  memory_size   = var.memory_size
  timeout       = local.timing.function_timeout
  layers        = [local.layer_arn]
  kms_key_arn   = var.kms_key_arn
  tags          = var.tags

  filename          = var.package
  source_code_hash  = var.package == null ? null : filebase64sha256(var.package)
  s3_bucket         = try(var.package_s3.bucket, null)
  s3_key            = try(var.package_s3.key, null)
  s3_object_version = try(var.package_s3.version, null)

  environment {
    variables = merge(var.environment, {
      FLUXIO_TABLE_NAME      = aws_dynamodb_table.runs.name
      FLUXIO_QUEUE_URL       = aws_sqs_queue.nudges.url
      FLUXIO_INLINE_BRANCHES = tostring(var.inline_branches)
      FLUXIO_RETENTION_DAYS  = tostring(var.retention_days)
      FLUXIO_LOG_LEVEL       = var.log_level
      FLUXIO_LOG_PAYLOADS    = var.log_payloads ? "1" : "0"
    }, var.tracing == "Active" ? { FLUXIO_TRACING = "1" } : {})
  }

  tracing_config {
    mode = var.tracing
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.worker.name
  }

  lifecycle {
    precondition {
      condition     = (var.package == null) != (var.package_s3 == null)
      error_message = "Give the workflows' zip exactly once: package (a path on this machine) or package_s3 ({ bucket, key, version }). ${var.package == null ? "Neither is set." : "Both are set."}"
    }

    precondition {
      condition     = (local.layer_zip == null) != (var.layer_arn == null)
      error_message = "Give the engine exactly once: layer_zip (the file that `make layer` builds) or layer_arn (a published layer version). ${local.layer_zip == null ? "Neither is set, and only a release of the module has its layer inside." : "Both are set."}"
    }
  }
}

# Lambda stops chains of Lambda -> SQS -> Lambda after about 16 hops, taking them for a loop that nobody meant. A
# workflow of many waves is such a chain, and means it: attempts bound it, not hops.
resource "aws_lambda_function_recursion_config" "worker" {
  function_name  = aws_lambda_function.worker.function_name
  recursive_loop = "Allow"
}

# The sweep is the worker's only asynchronous caller. A sweep that did not start is not tried again: the next minute
# brings another, and a throttled worker must not find hours of them waiting.
resource "aws_lambda_function_event_invoke_config" "worker" {
  function_name                = aws_lambda_function.worker.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_lambda_event_source_mapping" "nudges" {
  event_source_arn        = aws_sqs_queue.nudges.arn
  function_name           = aws_lambda_function.worker.arn
  batch_size              = var.batch_size
  function_response_types = ["ReportBatchItemFailures"]
  tags                    = var.tags

  # Lambda checks, when the mapping is made, that the role may read the queue; and the first message may be there already.
  depends_on = [aws_iam_role_policy.worker, aws_lambda_function_recursion_config.worker]
}

locals {
  # A list of one, or empty where there is no layer at all: then the precondition above speaks.
  layer_arn = try(coalesce(one(aws_lambda_layer_version.engine[*].arn), var.layer_arn), null)
}
