# The worker: the engine comes from the layer, the steps from the user's zip. One function serves both of its callers,
# the queue and the schedule. It is made here, or it is the caller's (`existing_function`) and only connected here.

module "layer" {
  source = "./modules/layer"
  count  = local.makes.function ? 1 : 0

  name         = local.names.layer
  architecture = var.architecture
  layer_zip    = var.layer_zip
  layer_s3     = var.layer_s3
  layer_arn    = var.layer_arn

  parameter_name = var.layer_parameter
  tags           = var.tags

  # Named only where it is asked for: see the layer's `runtimes`.
  runtimes = distinct(["python3.10", "python3.11", "python3.12", "python3.13", var.runtime])
}

moved {
  from = aws_lambda_layer_version.engine[0]
  to   = module.layer[0].aws_lambda_layer_version.engine[0]
}

locals {
  # What the engine reads from its environment.
  worker_environment = merge({
    FLUXIO_TABLE_NAME       = local.made.table_name
    FLUXIO_QUEUE_URL        = local.made.queue_url
    FLUXIO_INLINE_BRANCHES  = tostring(var.inline_branches)
    FLUXIO_PARK_AFTER       = tostring(var.park_after)
    FLUXIO_FUNCTION_TIMEOUT = tostring(local.timing.function_timeout)
    FLUXIO_RETENTION_DAYS   = tostring(var.retention_days)
    FLUXIO_LOG_LEVEL        = var.log_level
    FLUXIO_LOG_PAYLOADS     = var.log_payloads ? "1" : "0"
  }, var.tracing == "Active" ? { FLUXIO_TRACING = "1" } : {})

  # Who is called: the alias. A function of the caller's may have none; then its newest code is.
  called_arn = local.makes.function ? aws_lambda_alias.live[0].arn : join(":", compact([local.worker.arn, local.worker.alias]))
}

# The package's path as it was when its content last changed. Lambda's provider takes a change of the path for one of the
# code, but where a zip lies on one machine (a colleague's checkout, a CI runner) must not get into what is deployed.
resource "terraform_data" "package" {
  # Order of deletion: it is nothing outside of the state.
  count = local.makes.function && var.package != null ? 1 : 0

  input            = var.package
  triggers_replace = [try(filebase64sha256(var.package), null), local.worker.name]

  lifecycle {
    ignore_changes = [input] # only until it is replaced: then it takes the path of that moment
  }
}

resource "aws_lambda_function" "worker" {
  #checkov:skip=CKV_AWS_116:its only asynchronous caller is the sweep, which comes again each minute; messages have a DLQ of their own
  #checkov:skip=CKV_AWS_272:who may sign code is the account's affair; with `existing_function` a signed one is taken
  # Order of deletion: it goes only where `existing_function` takes its place, seconds before mapping and schedule call that one:
  # messages come back. Its name is fixed, and so are those of role and log group, which would have to be made beside theirs.
  count = local.makes.function ? 1 : 0

  function_name = local.worker.name
  description   = "fluxio worker: runs the steps of workflows"
  role          = local.role.arn
  handler       = var.handler
  runtime       = var.runtime
  architectures = [var.architecture]
  memory_size   = var.memory_size
  timeout       = local.timing.function_timeout
  layers        = concat(var.layers, [module.layer[0].layer_arn]) # the engine's last: nothing replaces its files
  kms_key_arn   = var.kms_key_arn
  publish       = true # the alias needs a version
  tags          = var.tags

  reserved_concurrent_executions = coalesce(var.reserved_concurrency, -1) # -1: none

  filename          = one(terraform_data.package[*].output)
  source_code_hash  = var.package == null ? null : filebase64sha256(var.package)
  s3_bucket         = try(var.package_s3.bucket, null)
  s3_key            = try(var.package_s3.key, null)
  s3_object_version = try(var.package_s3.version, null)

  environment {
    variables = merge(var.environment, local.worker_environment)
  }

  ephemeral_storage {
    size = var.ephemeral_storage
  }

  tracing_config {
    mode = var.tracing
  }

  # Lambda drops what is below these levels, where the format is JSON. The metrics are lines without a level, which count as
  # INFO, so the worker itself leaves out what `log_level` does not want; only for DEBUG must Lambda let more through.
  logging_config {
    log_format            = var.log_format
    log_group             = aws_cloudwatch_log_group.worker[0].name
    application_log_level = var.log_format == "Text" ? null : var.log_level == "DEBUG" ? "DEBUG" : "INFO"
    system_log_level      = var.log_format == "Text" ? null : "INFO"
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]

    content {
      subnet_ids                  = vpc_config.value.subnet_ids
      security_group_ids          = vpc_config.value.security_group_ids
      ipv6_allowed_for_dual_stack = vpc_config.value.ipv6
    }
  }

  lifecycle {
    precondition {
      condition     = (var.package == null) != (var.package_s3 == null)
      error_message = "Give the workflows' zip exactly once: package (a path on this machine) or package_s3 ({ bucket, key, version }). ${var.package == null ? "Neither is set." : "Both are set."}"
    }

    precondition {
      condition     = var.maximum_concurrency == null || coalesce(var.maximum_concurrency, 0) <= coalesce(var.reserved_concurrency, 1000)
      error_message = "maximum_concurrency is ${coalesce(var.maximum_concurrency, 0)}, but only ${coalesce(var.reserved_concurrency, 1000)} invocations are reserved: the queue would start more than may run, and these messages are received in vain until they lie in the DLQ. Raise reserved_concurrency to it at least, or lower it."
    }

    precondition {
      condition     = var.provisioned_concurrency <= coalesce(var.reserved_concurrency, var.provisioned_concurrency)
      error_message = "provisioned_concurrency is ${var.provisioned_concurrency}, but only ${coalesce(var.reserved_concurrency, 0)} invocations are reserved: Lambda takes the one from the other. Raise reserved_concurrency to it at least, or lower it."
    }
  }

  # In a VPC the role must be allowed to make network interfaces before the function is there, and until it is gone.
  depends_on = [aws_iam_role_policy.worker]
}

# Terraform changes a function in two calls, first its settings (layer, runtime, environment) and then its code, seconds apart.
# In between the old zip would run under the new layer: a pair that nobody has tried. Queue and schedule call this alias
# instead, which moves in one step once both are done and published, and can be moved back.
resource "aws_lambda_alias" "live" {
  # Order of deletion: as its function.
  count = local.makes.function ? 1 : 0

  name             = local.worker.alias
  description      = "The version of the worker that queue and schedule call"
  function_name    = aws_lambda_function.worker[0].function_name
  function_version = aws_lambda_function.worker[0].version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  # Order of deletion: nobody needs it to be there; the mapping only waits for it.
  count = local.makes.function && var.provisioned_concurrency > 0 ? 1 : 0

  function_name                     = aws_lambda_alias.live[0].function_name
  qualifier                         = aws_lambda_alias.live[0].name
  provisioned_concurrent_executions = var.provisioned_concurrency
}

# Lambda stops chains of Lambda -> SQS -> Lambda after about 16 hops, taking them for a loop that nobody meant. A
# workflow of many waves is such a chain, and means it: attempts bound it, not hops.
resource "aws_lambda_function_recursion_config" "worker" {
  function_name  = coalesce(one(aws_lambda_function.worker[*].function_name), local.worker.name)
  recursive_loop = "Allow"
}

# The sweep is the worker's only asynchronous caller. A sweep that did not start is not tried again: the next minute
# brings another, and a throttled worker must not find hours of them waiting.
resource "aws_lambda_function_event_invoke_config" "worker" {
  function_name                = coalesce(one(aws_lambda_function.worker[*].function_name), local.worker.name)
  qualifier                    = local.makes.function ? aws_lambda_alias.live[0].name : local.worker.alias
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

# One message an invocation, always: messages of one batch share a process, a clock and a fate. A slow step would delay the
# other messages of its batch, and one that kills its worker would take them down with it, five times over.
resource "aws_lambda_event_source_mapping" "nudges" {
  event_source_arn        = local.made.queue_arn
  function_name           = local.called_arn
  batch_size              = 1
  function_response_types = ["ReportBatchItemFailures"]
  tags                    = var.tags

  dynamic "scaling_config" {
    for_each = var.maximum_concurrency[*]

    content {
      maximum_concurrency = scaling_config.value
    }
  }

  lifecycle {
    precondition {
      condition     = local.makes.function || length(local.not_for_an_existing_function) == 0
      error_message = "existing_function is not made here, so what belongs to the function is its maker's: drop ${join(", ", local.not_for_an_existing_function)}."
    }

    precondition {
      condition     = local.makes.function || try(var.existing_function.timeout, 0) == var.timeout
      error_message = "existing_function has a timeout of ${try(var.existing_function.timeout, 0)} s, the module's `timeout` is ${var.timeout} s: the queue's visibility and the alarms follow from it. Set both to the same."
    }

    precondition {
      condition     = local.makes_queues || coalesce(try(var.existing.queue.visibility_timeout_seconds, null), local.timing.queue_visibility) >= local.timing.queue_visibility
      error_message = "existing.queue hides a message for ${coalesce(try(var.existing.queue.visibility_timeout_seconds, null), 0)} s, less than the worker may run: set its visibility_timeout_seconds to the module's `timeout` + 30 = ${local.timing.queue_visibility}, or lower `timeout`."
    }

    precondition {
      condition     = local.makes.function || !contains(["WARN", "ERROR", "FATAL"], local.lambdas_level)
      error_message = "existing_function has application_log_level = \"${local.lambdas_level}\": Lambda would drop the lines of which CloudWatch makes fluxio's metrics, and the alarms would see nothing. Set it to INFO, and leave the module's `log_level` to say what the worker writes."
    }

    precondition {
      condition     = local.makes.function || var.log_level != "DEBUG" || !contains(["INFO", "WARN", "ERROR", "FATAL"], local.lambdas_level)
      error_message = "log_level is DEBUG, but existing_function has a log of format JSON at application_log_level INFO: Lambda would drop every line of DEBUG. Set application_log_level = \"DEBUG\" in its logging_config."
    }

    precondition {
      condition     = local.makes.function || length(local.wrong_environment) == 0
      error_message = "existing_function has other values of ${join(", ", local.wrong_environment)} than this deployment. Merge the module's output worker_environment into its environment."
    }
  }

  # Lambda checks, when the mapping is made, that the role may read the queue; and the first message may be there already.
  depends_on = [aws_iam_role_policy.worker, aws_lambda_function_recursion_config.worker, aws_lambda_provisioned_concurrency_config.live]
}

locals {
  # Inputs with a meaning for a function that is made here alone. Of the others with a default (memory_size, runtime, …)
  # Terraform does not tell whether they were given.
  not_for_an_existing_function = [
    for input, given in {
      environment             = length(var.environment) > 0
      ephemeral_storage       = var.ephemeral_storage != 512
      "existing.role"         = var.existing.role != null
      handler                 = var.handler != "fluxio.worker.lambda_handler"
      layer_arn               = var.layer_arn != null
      layer_parameter         = var.layer_parameter != null
      layer_s3                = var.layer_s3 != null
      layer_zip               = var.layer_zip != null
      layers                  = length(var.layers) > 0
      package                 = var.package != null
      package_s3              = var.package_s3 != null
      provisioned_concurrency = var.provisioned_concurrency > 0
      reserved_concurrency    = var.reserved_concurrency != null
      vpc                     = var.vpc != null
    } : input if given
  ]

  # From which level on Lambda keeps the lines of a function of the caller's; it filters only in JSON, at INFO unless told otherwise.
  lambdas_level = try(var.existing_function.logging_config[0].log_format, null) != "JSON" ? "" : coalesce(var.existing_function.logging_config[0].application_log_level, "INFO")

  # Only names, so there is nothing to hide even where a value of the function's environment is a secret.
  wrong_environment = try(nonsensitive(local.differing), local.differing)

  differing = [
    for name, value in local.worker_environment : name if try(var.existing_function.environment[0].variables[name], null) != value
  ]
}
