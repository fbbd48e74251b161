# What is there already and only used: table, queues, role, function. Offline: nothing is asked of AWS, and nothing looked up.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  name      = "orders"
  package   = "tests/fixtures/package.zip"
  layer_zip = "tests/fixtures/layer-x86_64.zip"

  existing = {
    table = {
      name      = "mine"
      arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
      hash_key  = "pk"
      range_key = "sk"
      attribute = [{ name = "pk", type = "S" }, { name = "sk", type = "S" }, { name = "due", type = "N" }]
      ttl       = [{ enabled = true, attribute_name = "ttl" }]
      global_secondary_index = [
        { name = "by_workflow", hash_key = "workflow_shard", range_key = "created_at" },
        { name = "due", hash_key = "due", range_key = "wake_at" },
        { name = "failed", hash_key = "failed", range_key = "ended_at" },
        { name = "another", hash_key = "customer" },
      ]
    }
    queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo", visibility_timeout_seconds = 150 }
    dlq   = { name = "todo-dead.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo-dead.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo-dead.fifo" }
    role  = { name = "mine", arn = "arn:aws:iam::123456789012:role/service/mine" }
  }
}

run "table_queues_and_role" {
  command = plan

  assert {
    condition = length(concat(
      aws_dynamodb_table.runs, aws_sqs_queue.nudges, aws_sqs_queue.dlq, aws_iam_role.worker, aws_iam_role_policy.worker, values(aws_appautoscaling_target.table),
    )) == 0
    error_message = "what is there is not made again, and nothing is attached to it"
  }

  assert {
    condition     = aws_lambda_function.worker[0].role == "arn:aws:iam::123456789012:role/service/mine" && output.worker_role_arn == "arn:aws:iam::123456789012:role/service/mine"
    error_message = "the worker has the role that was given"
  }

  assert {
    condition = jsonencode(output.worker_environment) == jsonencode({
      FLUXIO_FUNCTION_TIMEOUT = "120"
      FLUXIO_INLINE_BRANCHES  = "10"
      FLUXIO_PARK_AFTER       = "300"
      FLUXIO_LOG_LEVEL        = "INFO"
      FLUXIO_LOG_PAYLOADS     = "0"
      FLUXIO_QUEUE_URL        = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo"
      FLUXIO_RETENTION_DAYS   = "90"
      FLUXIO_TABLE_NAME       = "mine"
    })
    error_message = "the worker reads the table and the queue that were given"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.nudges.event_source_arn == "arn:aws:sqs:eu-west-1:123456789012:todo.fifo"
    error_message = "and takes from that queue"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["dlq_not_empty"].dimensions.QueueName == "todo-dead.fifo" &&
      aws_cloudwatch_metric_alarm.this["oldest_nudge"].dimensions.QueueName == "todo.fifo" &&
      strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "\"TableName\",\"mine\"") &&
      !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "orders-runs\"")
    )
    error_message = "alarms and dashboard watch what is in use"
  }
}

# Before any of them is made: their ARNs are not known yet.
run "the_resources_themselves_can_be_passed_by_the_configuration_that_makes_them" {
  command = plan

  module {
    source = "./tests/fixtures/passes_resources"
  }

  assert {
    condition     = output.table_name == "mine"
    error_message = "they are in use"
  }
}

run "a_table_with_another_key_is_refused" {
  command = plan

  variables {
    existing = {
      table = {
        name      = "mine"
        arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
        hash_key  = "pk"
        range_key = "sort"
        attribute = [{ name = "pk", type = "S" }, { name = "sk", type = "S" }]
        ttl       = [{ enabled = true, attribute_name = "ttl" }]
        global_secondary_index = [
          { name = "by_workflow", hash_key = "workflow_shard", range_key = "created_at" },
          { name = "due", hash_key = "due", range_key = "wake_at" },
          { name = "failed", hash_key = "failed", range_key = "ended_at" },
        ]
      }
    }
  }

  expect_failures = [terraform_data.existing_table]
}

run "a_table_with_a_key_of_numbers_is_refused" {
  command = plan

  variables {
    existing = {
      table = {
        name      = "mine"
        arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
        hash_key  = "pk"
        range_key = "sk"
        attribute = [{ name = "pk", type = "S" }, { name = "sk", type = "N" }]
        ttl       = [{ enabled = true, attribute_name = "ttl" }]
        global_secondary_index = [
          { name = "by_workflow", hash_key = "workflow_shard", range_key = "created_at" },
          { name = "due", hash_key = "due", range_key = "wake_at" },
          { name = "failed", hash_key = "failed", range_key = "ended_at" },
        ]
      }
    }
  }

  expect_failures = [terraform_data.existing_table]
}

run "a_table_without_an_index_is_refused" {
  command = plan

  variables {
    existing = {
      table = {
        name      = "mine"
        arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
        hash_key  = "pk"
        range_key = "sk"
        attribute = [{ name = "pk", type = "S" }, { name = "sk", type = "S" }]
        ttl       = [{ enabled = true, attribute_name = "ttl" }]
        global_secondary_index = [
          { name = "by_workflow", hash_key = "workflow_shard", range_key = "created_at" },
          { name = "due", hash_key = "due", range_key = "ended_at" },
          { name = "failed", hash_key = "failed", range_key = "ended_at" },
        ]
      }
    }
  }

  expect_failures = [terraform_data.existing_table]
}

run "a_table_that_never_forgets_is_refused" {
  command = plan

  variables {
    existing = {
      table = {
        name      = "mine"
        arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
        hash_key  = "pk"
        range_key = "sk"
        attribute = [{ name = "pk", type = "S" }, { name = "sk", type = "S" }]
        ttl       = [{ enabled = false }]
        global_secondary_index = [
          { name = "by_workflow", hash_key = "workflow_shard", range_key = "created_at" },
          { name = "due", hash_key = "due", range_key = "wake_at" },
          { name = "failed", hash_key = "failed", range_key = "ended_at" },
        ]
      }
    }
  }

  expect_failures = [terraform_data.existing_table]
}

# By name and ARN alone there is nothing to hold against what fluxio needs. Provider 6 tells an index's keys by other names.
run "a_table_of_which_little_is_told" {
  command = plan

  variables {
    existing = {
      table = {
        name                   = "mine"
        arn                    = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
        global_secondary_index = [{ name = "by_workflow" }, { name = "due", hash_key = "", range_key = "" }, { name = "failed" }]
      }
    }
  }

  assert {
    condition     = output.table_name == "mine" && output.table_arn == "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
    error_message = "is taken as it is"
  }
}

run "a_queue_that_shows_a_message_again_while_its_worker_runs_is_refused" {
  command = plan

  variables {
    timeout = 121
  }

  expect_failures = [aws_lambda_event_source_mapping.nudges]
}

run "settings_of_a_table_that_is_not_made_here_are_refused" {
  command = plan

  variables {
    deletion_protection = true
  }

  expect_failures = [terraform_data.existing_table]
}

run "a_function" {
  command = plan

  variables {
    package   = null
    layer_zip = null
    existing  = {}
    existing_function = {
      function_name = "mine"
      timeout       = 120
      memory_size   = 1024
      role          = "arn:aws:iam::123456789012:role/mine"
      layers        = ["arn:aws:lambda:eu-west-1:123456789012:layer:mine:3"]
    }
  }

  override_resource {
    target = aws_sqs_queue.nudges
  }

  assert {
    condition = length(concat(
      aws_lambda_function.worker, aws_lambda_alias.live, module.layer, aws_iam_role.worker, aws_iam_role_policy.worker, aws_cloudwatch_log_group.worker,
    )) == 0 && output.layer_arn == null
    error_message = "neither function nor layer, role or log group are made"
  }

  assert {
    condition     = length(aws_dynamodb_table.runs) + length(aws_sqs_queue.nudges) == 2
    error_message = "the rest is"
  }

  assert {
    condition = toset([
      aws_lambda_event_source_mapping.nudges.function_name, aws_scheduler_schedule.sweep.target[0].arn, output.worker_function_arn,
    ]) == toset(["arn:aws:lambda:eu-west-1:123456789012:function:mine"])
    error_message = "queue and schedule call it"
  }

  assert {
    condition     = aws_lambda_function_recursion_config.worker.function_name == "mine" && aws_lambda_function_event_invoke_config.worker.function_name == "mine"
    error_message = "Lambda does not take its chains for a loop, nor sweep twice"
  }

  assert {
    condition     = output.log_group_name == "/aws/lambda/mine" && aws_cloudwatch_metric_alarm.this["worker_errors"].dimensions.FunctionName == "mine"
    error_message = "its log and its errors are watched"
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "ms / 1000 * 1\"")
    error_message = "its memory counts for the costs"
  }
}

run "a_function_with_an_alias" {
  command = plan

  variables {
    package           = null
    layer_zip         = null
    existing          = {}
    existing_function = { function_name = "mine", timeout = 120, arn = "arn:aws:lambda:eu-west-1:999999999999:function:mine", alias = "blue" }
  }

  override_resource {
    target = aws_sqs_queue.nudges
  }

  assert {
    condition = toset([
      aws_lambda_event_source_mapping.nudges.function_name, aws_scheduler_schedule.sweep.target[0].arn, output.worker_alias_arn,
    ]) == toset(["arn:aws:lambda:eu-west-1:999999999999:function:mine:blue"])
    error_message = "queue and schedule call the alias"
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.worker.qualifier == "blue"
    error_message = "a sweep by the alias is not tried again either"
  }
}

run "a_function_that_drops_the_lines_of_which_metrics_are_made_is_refused" {
  command = plan

  variables {
    package   = null
    layer_zip = null
    existing  = {}
    existing_function = {
      function_name  = "mine"
      timeout        = 120
      logging_config = [{ log_group = "/mine", log_format = "JSON", application_log_level = "WARN" }]
    }
  }

  expect_failures = [aws_lambda_event_source_mapping.nudges]
}

run "a_function_that_drops_the_lines_of_debug_that_were_asked_for_is_refused" {
  command = plan

  variables {
    package   = null
    layer_zip = null
    existing  = {}
    log_level = "DEBUG"
    existing_function = {
      function_name  = "mine"
      timeout        = 120
      logging_config = [{ log_group = "/mine", log_format = "JSON" }]
    }
  }

  expect_failures = [aws_lambda_event_source_mapping.nudges]
}

run "a_function_with_another_timeout_is_refused" {
  command = plan

  variables {
    package           = null
    layer_zip         = null
    existing          = {}
    existing_function = { function_name = "mine", timeout = 60 }
  }

  expect_failures = [aws_lambda_event_source_mapping.nudges]
}

run "a_function_for_another_deployment_is_refused" {
  command = plan

  variables {
    package   = null
    layer_zip = null
    existing = {
      table = { name = "mine", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine" }
      queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" }
      dlq   = { name = "todo-dead.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo-dead.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo-dead.fifo" }
    }
    existing_function = {
      function_name = "mine"
      timeout       = 120
      environment = [{ variables = {
        FLUXIO_TABLE_NAME       = "another"
        FLUXIO_QUEUE_URL        = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo"
        FLUXIO_FUNCTION_TIMEOUT = "120"
        FLUXIO_INLINE_BRANCHES  = "10"
        FLUXIO_PARK_AFTER       = "300"
        FLUXIO_RETENTION_DAYS   = "90"
        FLUXIO_LOG_LEVEL        = "INFO"
        FLUXIO_LOG_PAYLOADS     = "0"
      } }]
    }
  }

  expect_failures = [aws_lambda_event_source_mapping.nudges]
}

run "a_function_and_what_would_make_one_is_refused" {
  command = plan

  variables {
    layer_zip         = null
    existing          = {}
    existing_function = { function_name = "mine", timeout = 120 }
  }

  expect_failures = [aws_lambda_event_source_mapping.nudges]
}
