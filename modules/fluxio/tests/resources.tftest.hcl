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
    condition     = length(module.layer) == 1
    error_message = "the engine comes as a layer"
  }

  assert {
    condition     = terraform_data.package[0].input == var.package && aws_lambda_function.worker[0].source_code_hash == filebase64sha256(var.package)
    error_message = "the worker is made from the zip, and anew when the zip changes"
  }

  assert {
    condition     = aws_lambda_function.worker[0].handler == "fluxio.worker.lambda_handler" && aws_lambda_function.worker[0].timeout == 120
    error_message = "the handler is the layer's, the timeout the default"
  }

  assert {
    condition     = aws_lambda_function_recursion_config.worker.recursive_loop == "Allow"
    error_message = "Lambda would stop a workflow of many waves after 16 hops"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.nudges.function_response_types == toset(["ReportBatchItemFailures"]) && aws_lambda_event_source_mapping.nudges.batch_size == 1
    error_message = "each message has an invocation to itself, which can hand it back"
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.sweep.target[0].input) == { fluxio = "sweep" } && aws_scheduler_schedule.sweep.schedule_expression == "rate(1 minute)"
    error_message = "every minute the worker is told to sweep"
  }

  assert {
    condition     = aws_dynamodb_table.runs[0].hash_key == "pk" && aws_dynamodb_table.runs[0].range_key == "sk" && aws_dynamodb_table.runs[0].billing_mode == "PAY_PER_REQUEST"
    error_message = "an item is found by pk and sk, and paid for by request"
  }

  assert {
    condition = { for index in aws_dynamodb_table.runs[0].global_secondary_index : index.name => "${index.hash_key} ${index.range_key} ${index.projection_type}" } == {
      by_workflow = "workflow_shard created_at KEYS_ONLY"
      due         = "due wake_at KEYS_ONLY"
      failed      = "failed ended_at INCLUDE"
    }
    error_message = "client and engine read these three indexes by these keys"
  }

  assert {
    condition     = aws_dynamodb_table.runs[0].ttl[0].enabled && aws_dynamodb_table.runs[0].ttl[0].attribute_name == "ttl" && aws_dynamodb_table.runs[0].point_in_time_recovery[0].enabled
    error_message = "old runs expire, and yesterday can be restored"
  }

  assert {
    condition     = aws_sqs_queue.nudges[0].fifo_queue && aws_sqs_queue.nudges[0].deduplication_scope == "messageGroup" && aws_sqs_queue.nudges[0].fifo_throughput_limit == "perMessageGroupId" && !aws_sqs_queue.nudges[0].content_based_deduplication
    error_message = "the queue is FIFO, in high-throughput mode, and takes ids from the sender"
  }

  assert {
    condition     = aws_sqs_queue.nudges[0].visibility_timeout_seconds == 150 && aws_sqs_queue.nudges[0].message_retention_seconds == 1209600
    error_message = "a message is back 30 seconds after the worker's timeout, and kept for 14 days"
  }

  assert {
    condition     = aws_sqs_queue.dlq[0].fifo_queue && jsondecode(aws_sqs_queue.dlq[0].redrive_allow_policy).redrivePermission == "byQueue"
    error_message = "the DLQ is FIFO too and takes messages from the queue alone"
  }

  assert {
    condition     = aws_sqs_queue.nudges[0].sqs_managed_sse_enabled && aws_sqs_queue.dlq[0].sqs_managed_sse_enabled && !aws_dynamodb_table.runs[0].server_side_encryption[0].enabled
    error_message = "keys that AWS owns are the default: no call of KMS is charged"
  }

  assert {
    condition = length(concat(
      aws_lambda_provisioned_concurrency_config.live, values(aws_appautoscaling_target.table), values(aws_appautoscaling_policy.table),
      aws_lambda_function.worker[0].vpc_config, aws_lambda_event_source_mapping.nudges.scaling_config, aws_dynamodb_table.runs[0].on_demand_throughput,
      terraform_data.existing_table,
    )) == 0
    error_message = "what was not asked for is not made"
  }

  assert {
    condition = (
      aws_lambda_function.worker[0].reserved_concurrent_executions == -1 &&
      aws_lambda_function.worker[0].logging_config[0].log_format == "JSON" && aws_lambda_function.worker[0].logging_config[0].application_log_level == "INFO" && !aws_dynamodb_table.runs[0].deletion_protection_enabled &&
      aws_dynamodb_table.runs[0].point_in_time_recovery[0].recovery_period_in_days == 35 && aws_iam_role.worker[0].path == "/"
    )
    error_message = "nothing is reserved or protected unless asked for; 35 days can be restored"
  }

  assert {
    condition     = output.log_group_name == "/aws/lambda/orders-worker" && can(regex("^[0-9]+[.][0-9]+[.]", output.module_version))
    error_message = "the outputs name what is in use"
  }

  assert {
    condition     = aws_lambda_function.worker[0].tracing_config[0].mode == "PassThrough" && !contains(keys(aws_lambda_function.worker[0].environment[0].variables), "FLUXIO_TRACING")
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
    condition     = aws_lambda_function.worker[0].layers == tolist([var.layer_arn]) && output.layer_arn == var.layer_arn
    error_message = "the worker uses the layer that was given"
  }

  assert {
    condition     = aws_lambda_function.worker[0].filename == null && aws_lambda_function.worker[0].s3_bucket == "artifacts" && aws_lambda_function.worker[0].s3_key == "orders.zip" && aws_lambda_function.worker[0].s3_object_version == "v1"
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
      aws_dynamodb_table.runs[0].server_side_encryption[0].kms_key_arn, aws_sqs_queue.nudges[0].kms_master_key_id,
      aws_sqs_queue.dlq[0].kms_master_key_id, aws_cloudwatch_log_group.worker[0].kms_key_id, aws_lambda_function.worker[0].kms_key_arn,
    ]) == toset([var.kms_key_arn])
    error_message = "table, queues, log and environment use the key"
  }

  assert {
    condition = (
      aws_lambda_function.worker[0].environment[0].variables["STRIPE_URL"] == "https://example.com" &&
      aws_lambda_function.worker[0].environment[0].variables["FLUXIO_TABLE_NAME"] == "orders-runs" &&
      aws_lambda_function.worker[0].environment[0].variables["FLUXIO_INLINE_BRANCHES"] == "0" &&
      aws_lambda_function.worker[0].environment[0].variables["FLUXIO_RETENTION_DAYS"] == "7"
    )
    error_message = "the worker sees the user's variables and fluxio's own"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(var.alarm_actions) && alarm.ok_actions == toset(var.alarm_actions)])
    error_message = "each alarm is heard, and its end"
  }
}

run "with_traces_in_a_vpc_and_kept_ready" {
  command = plan

  variables {
    tracing                 = "Active"
    log_format              = "Text"
    role_path               = "/service/"
    deletion_protection     = true
    point_in_time_recovery  = { days = 7 }
    vpc                     = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"], ipv6 = true }
    maximum_concurrency     = 20
    reserved_concurrency    = 20
    provisioned_concurrency = 20
    billing                 = { max_read_units = 100, max_write_units = 200 }
  }

  assert {
    condition = (
      aws_lambda_function.worker[0].tracing_config[0].mode == "Active" &&
      aws_lambda_function.worker[0].environment[0].variables["FLUXIO_TRACING"] == "1"
    )
    error_message = "Lambda samples invocations, and the engine records the runs in them"
  }

  assert {
    condition     = aws_lambda_function.worker[0].logging_config[0].log_format == "Text" && aws_lambda_function.worker[0].logging_config[0].application_log_level == null
    error_message = "Lambda's own lines are text where that was asked for"
  }

  assert {
    condition     = toset([aws_iam_role.worker[0].path, aws_iam_role.schedule.path]) == toset(["/service/"])
    error_message = "both roles have the path"
  }

  assert {
    condition     = aws_dynamodb_table.runs[0].deletion_protection_enabled && aws_dynamodb_table.runs[0].point_in_time_recovery[0].recovery_period_in_days == 7
    error_message = "the table is protected, and restored to any second of a week"
  }

  assert {
    condition = (
      aws_lambda_function.worker[0].vpc_config[0].subnet_ids == toset(var.vpc.subnet_ids) &&
      aws_lambda_function.worker[0].vpc_config[0].security_group_ids == toset(var.vpc.security_group_ids) &&
      aws_lambda_function.worker[0].vpc_config[0].ipv6_allowed_for_dual_stack
    )
    error_message = "the worker is in the VPC"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.nudges.scaling_config[0].maximum_concurrency == 20 && aws_lambda_function.worker[0].reserved_concurrent_executions == 20
    error_message = "the queue starts as many as are reserved"
  }

  assert {
    condition = (
      aws_lambda_provisioned_concurrency_config.live[0].qualifier == "live" &&
      aws_lambda_provisioned_concurrency_config.live[0].provisioned_concurrent_executions == 20
    )
    error_message = "what the alias leads to is kept ready"
  }

  assert {
    condition = alltrue([
      for limits in concat(aws_dynamodb_table.runs[0].on_demand_throughput, flatten([for index in aws_dynamodb_table.runs[0].global_secondary_index : index.on_demand_throughput])) :
      limits.max_read_request_units == 100 && limits.max_write_request_units == 200
    ]) && alltrue([for index in aws_dynamodb_table.runs[0].global_secondary_index : length(index.on_demand_throughput) == 1])
    error_message = "table and indexes are limited"
  }
}

run "a_provisioned_table_that_is_yet_to_be_made" {
  command = plan

  variables {
    billing = { mode = "PROVISIONED", read = { min = 2, max = 50 }, write = { min = 3, max = 60, utilization = 50 } }
  }

  assert {
    condition     = toset(concat([for index in aws_dynamodb_table.runs[0].global_secondary_index : [index.read_capacity, index.write_capacity]], [[aws_dynamodb_table.runs[0].read_capacity, aws_dynamodb_table.runs[0].write_capacity]])) == toset([[2, 3]])
    error_message = "table and indexes begin at the least"
  }

  assert {
    condition = { for name, target in aws_appautoscaling_target.table : name => "${target.resource_id} ${target.scalable_dimension} ${target.min_capacity}-${target.max_capacity}" } == {
      table_read        = "table/orders-runs dynamodb:table:ReadCapacityUnits 2-50"
      table_write       = "table/orders-runs dynamodb:table:WriteCapacityUnits 3-60"
      by_workflow_read  = "table/orders-runs/index/by_workflow dynamodb:index:ReadCapacityUnits 2-50"
      by_workflow_write = "table/orders-runs/index/by_workflow dynamodb:index:WriteCapacityUnits 3-60"
      due_read          = "table/orders-runs/index/due dynamodb:index:ReadCapacityUnits 2-50"
      due_write         = "table/orders-runs/index/due dynamodb:index:WriteCapacityUnits 3-60"
      failed_read       = "table/orders-runs/index/failed dynamodb:index:ReadCapacityUnits 2-50"
      failed_write      = "table/orders-runs/index/failed dynamodb:index:WriteCapacityUnits 3-60"
    }
    error_message = "table and indexes scale, in reads and in writes"
  }

  assert {
    condition = { for name, policy in aws_appautoscaling_policy.table : name => "${one(policy.target_tracking_scaling_policy_configuration[0].predefined_metric_specification).predefined_metric_type} ${policy.target_tracking_scaling_policy_configuration[0].target_value}" if !startswith(name, "by") && !startswith(name, "f") } == {
      table_read  = "DynamoDBReadCapacityUtilization 70"
      table_write = "DynamoDBWriteCapacityUtilization 50"
      due_read    = "DynamoDBReadCapacityUtilization 70"
      due_write   = "DynamoDBWriteCapacityUtilization 50"
    }
    error_message = "each by its own use"
  }
}

# Auto Scaling has been at work: what it has set is what the plan asks for, unless it is out of bounds; the writes are pinned.
run "a_provisioned_table_that_is_there" {
  command = plan

  variables {
    billing = {
      mode  = "PROVISIONED"
      read  = { min = 2, max = 50 }
      write = { min = 5, max = 5 }
      current = {
        table       = { read = 17, write = 40 }
        by_workflow = { read = 1, write = 4 }
        due         = { read = 18, write = 5 }
        failed      = { read = 99, write = 6 }
      }
    }
  }

  assert {
    condition = merge({ table = [aws_dynamodb_table.runs[0].read_capacity, aws_dynamodb_table.runs[0].write_capacity] }, { for index in aws_dynamodb_table.runs[0].global_secondary_index : index.name => [index.read_capacity, index.write_capacity] }) == {
      table       = [17, 5]
      by_workflow = [2, 5]
      due         = [18, 5]
      failed      = [50, 5]
    }
    error_message = "capacities stay as they were scaled, within the bounds"
  }

  assert {
    condition     = toset(keys(aws_appautoscaling_target.table)) == toset(["table_read", "by_workflow_read", "due_read", "failed_read"])
    error_message = "what is pinned is not scaled"
  }
}
