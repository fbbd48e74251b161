# What is made from which inputs. Offline: nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name      = "orders"
  package   = "tests/fixtures/package.zip"
  layer_zip = "tests/fixtures/layer-x86_64.zip"
}

run "from_two_files_and_a_name" {
  command = plan

  assert {
    condition     = length(aws_lambda_layer_version.engine) == 1
    error_message = "layer_zip makes a layer version"
  }

  assert {
    condition     = aws_lambda_function.worker.filename == var.package && aws_lambda_function.worker.source_code_hash == filebase64sha256(var.package)
    error_message = "the worker is made from the zip, and anew when the zip changes"
  }

  assert {
    condition     = aws_lambda_function.worker.handler == "fluxio.worker.lambda_handler" && aws_lambda_function.worker.timeout == 120
    error_message = "the handler is the layer's, the timeout the default"
  }

  assert {
    condition     = aws_lambda_function_recursion_config.worker.recursive_loop == "Allow"
    error_message = "Lambda would stop a workflow of many waves after 16 hops"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.nudges.function_response_types == toset(["ReportBatchItemFailures"]) && aws_lambda_event_source_mapping.nudges.batch_size == 10
    error_message = "the mapping takes ten messages and lets the worker hand back single ones"
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.sweep.target[0].input) == { fluxio = "sweep" } && aws_scheduler_schedule.sweep.schedule_expression == "rate(1 minute)"
    error_message = "every minute the worker is told to sweep"
  }

  assert {
    condition     = aws_dynamodb_table.runs.hash_key == "pk" && aws_dynamodb_table.runs.range_key == "sk" && aws_dynamodb_table.runs.billing_mode == "PAY_PER_REQUEST"
    error_message = "an item is found by pk and sk, and paid for by request"
  }

  assert {
    condition = { for index in aws_dynamodb_table.runs.global_secondary_index : index.name => "${index.hash_key} ${index.range_key} ${index.projection_type}" } == {
      by_workflow = "workflow_shard created_at INCLUDE"
      due         = "due wake_at KEYS_ONLY"
      failed      = "failed ended_at INCLUDE"
    }
    error_message = "client and engine read these three indexes by these keys"
  }

  assert {
    condition     = aws_dynamodb_table.runs.ttl[0].enabled && aws_dynamodb_table.runs.ttl[0].attribute_name == "ttl" && aws_dynamodb_table.runs.server_side_encryption[0].enabled && aws_dynamodb_table.runs.point_in_time_recovery[0].enabled
    error_message = "old runs expire, the table is encrypted, and yesterday can be restored"
  }

  assert {
    condition     = aws_sqs_queue.nudges.fifo_queue && aws_sqs_queue.nudges.deduplication_scope == "messageGroup" && aws_sqs_queue.nudges.fifo_throughput_limit == "perMessageGroupId" && !aws_sqs_queue.nudges.content_based_deduplication
    error_message = "the queue is FIFO, in high-throughput mode, and takes ids from the sender"
  }

  assert {
    condition     = aws_sqs_queue.nudges.visibility_timeout_seconds == 150 && aws_sqs_queue.nudges.message_retention_seconds == 1209600
    error_message = "a message is back 30 seconds after the worker's timeout, and kept for 14 days"
  }

  assert {
    condition     = aws_sqs_queue.dlq.fifo_queue && jsondecode(aws_sqs_queue.dlq.redrive_allow_policy).redrivePermission == "byQueue"
    error_message = "the DLQ is FIFO too and takes messages from the queue alone"
  }

  assert {
    condition     = aws_sqs_queue.nudges.sqs_managed_sse_enabled && aws_sqs_queue.dlq.sqs_managed_sse_enabled && aws_dynamodb_table.runs.server_side_encryption[0].enabled
    error_message = "AWS's own keys are the default"
  }

  assert {
    condition     = aws_lambda_function.worker.tracing_config[0].mode == "PassThrough" && !contains(keys(aws_lambda_function.worker.environment[0].variables), "FLUXIO_TRACING")
    error_message = "nothing is traced unless asked for"
  }
}

run "from_what_is_published" {
  command = plan

  variables {
    package    = null
    package_s3 = { bucket = "artifacts", key = "orders.zip", version = "v1" }
    layer_zip  = null
    layer_arn  = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
  }

  assert {
    condition     = length(aws_lambda_layer_version.engine) == 0
    error_message = "layer_arn makes no layer version"
  }

  assert {
    condition     = aws_lambda_function.worker.layers == tolist([var.layer_arn]) && output.layer_arn == var.layer_arn
    error_message = "the worker uses the layer that was given"
  }

  assert {
    condition     = aws_lambda_function.worker.filename == null && aws_lambda_function.worker.s3_bucket == "artifacts" && aws_lambda_function.worker.s3_key == "orders.zip" && aws_lambda_function.worker.s3_object_version == "v1"
    error_message = "the worker is made from the object in S3"
  }
}

run "with_a_key_an_environment_and_somebody_on_call" {
  command = plan

  variables {
    kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    environment     = { STRIPE_URL = "https://example.com" }
    inline_branches = 0
    retention_days  = 7
    alarm_actions   = ["arn:aws:sns:eu-west-1:123456789012:on-call"]
  }

  assert {
    condition = toset([
      aws_dynamodb_table.runs.server_side_encryption[0].kms_key_arn, aws_sqs_queue.nudges.kms_master_key_id,
      aws_sqs_queue.dlq.kms_master_key_id, aws_cloudwatch_log_group.worker.kms_key_id, aws_lambda_function.worker.kms_key_arn,
    ]) == toset([var.kms_key_arn])
    error_message = "table, queues, log and environment use the key"
  }

  assert {
    condition = (
      aws_lambda_function.worker.environment[0].variables["STRIPE_URL"] == "https://example.com" &&
      aws_lambda_function.worker.environment[0].variables["FLUXIO_TABLE_NAME"] == "orders-runs" &&
      aws_lambda_function.worker.environment[0].variables["FLUXIO_INLINE_BRANCHES"] == "0" &&
      aws_lambda_function.worker.environment[0].variables["FLUXIO_RETENTION_DAYS"] == "7"
    )
    error_message = "the worker sees the user's variables and fluxio's own"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(var.alarm_actions) && alarm.ok_actions == toset(var.alarm_actions)])
    error_message = "each alarm is heard, and its end"
  }
}

run "with_traces" {
  command = plan

  variables {
    tracing = "Active"
  }

  assert {
    condition = (
      aws_lambda_function.worker.tracing_config[0].mode == "Active" &&
      aws_lambda_function.worker.environment[0].variables["FLUXIO_TRACING"] == "1"
    )
    error_message = "Lambda samples invocations, and the engine records the runs in them"
  }
}
