# Every bound of every input, and the rules that take two inputs. Offline: nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name       = "orders"
  package_s3 = { bucket = "artifacts", key = "orders.zip", version = "1" }
  layer_arn  = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
}

run "the_least_of_everything_is_accepted" {
  command = plan

  variables {
    name               = "ab"
    memory_size        = 128
    timeout            = 10
    inline_branches    = 0
    park_after         = 0
    retention_days     = 1
    log_retention_days = 0
    runtime            = "python3.10"

    maximum_concurrency    = 2
    reserved_concurrency   = 2
    log_level              = "ERROR"
    point_in_time_recovery = { days = 1 }
    billing                = { max_read_units = 1, max_write_units = -1 }
    vpc                    = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    existing               = { role = { name = "r", arn = "arn:aws:iam::123456789012:role/r" } }
    ephemeral_storage      = 512
    layer_parameter        = "a"
    schedules              = { a = { workflow = "R", expression = "rate(1 day)" } }
  }

  assert {
    condition     = aws_sqs_queue.nudges[0].visibility_timeout_seconds == 40
    error_message = "visibility is the function's timeout and 30 seconds"
  }
}

run "the_most_of_everything_is_accepted" {
  command = plan

  variables {
    name                 = "a234567890123456789012345678901234567890"
    memory_size          = 10240
    timeout              = 870
    inline_branches      = 20
    park_after           = 300
    retention_days       = 3650
    log_retention_days   = 3653
    runtime              = "python3.13"
    architecture         = "arm64"
    ephemeral_storage    = 10240
    layers               = [for i in range(4) : "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:layer:extension:${i}"]
    layer_parameter      = "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o"
    schedules            = { a2345678901234567890123 = { workflow = "_${join("", [for i in range(63) : "R"])}", expression = "cron(0/15 8-17 ? * MON-FRI 2026-2030)", timezone = "America/Argentina/ComodRivadavia", input = jsonencode({ a = format("%0239986d", 0) }), enabled = false } }
    handler              = "orders/entry.handle"
    environment          = { STRIPE_URL = "https://example.com", AWS_LAMBDA_EXEC_WRAPPER = "/opt/wrapper" }
    permissions_boundary = "arn:aws:iam::123456789012:policy/bound"
    policy_statements    = [{ actions = ["s3:*"], resources = ["*", "arn:aws:s3:::a/*", "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/ledger", "arn:*:sqs:*:*:q"] }]
    alarm_actions        = [for i in range(5) : "arn:aws:sns:eu-west-1:123456789012:topic-${i}"]

    role_path               = "/a/b/"
    maximum_concurrency     = 1000
    reserved_concurrency    = 1000
    provisioned_concurrency = 1000
    point_in_time_recovery  = { days = 35 }
    billing                 = { mode = "PROVISIONED", read = { min = 1, max = 1, utilization = 20 }, write = { min = 1, max = 40000, utilization = 90 } }
    alarms                  = { oldest_nudge = { threshold = 60 }, sweep_silent = { threshold = 2 }, worker_duration = { threshold = 1 } }
    existing                = { queue = { name = "a-2345678901234567890123456789012345678901234567890123456789012345678901234.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:a-2345678901234567890123456789012345678901234567890123456789012345678901234.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/a-2345678901234567890123456789012345678901234567890123456789012345678901234.fifo" }, dlq = { name = "b.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:b.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/b.fifo" } }
  }

  assert {
    condition     = alltrue([for name in values(local.names) : length(replace(name, "/aws/lambda/", "")) <= 64])
    error_message = "the longest name allowed makes a name that AWS refuses"
  }
}

# A run costs a second or two, so each carries one wrong value of every input that still has one to try.

run "too_little_of_anything_is_refused" {
  command = plan

  variables {
    name                 = "a"
    tags                 = { "aws:owner" = "me" }
    package              = "tests/fixtures/no-such-file.zip"
    package_s3           = { bucket = "", key = "" }
    layer_zip            = "tests/fixtures/no-such-file.zip"
    layer_arn            = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio"
    handler              = "lambda_handler"
    runtime              = "python3.9"
    architecture         = "aarch64"
    memory_size          = 127
    timeout              = 9
    environment          = { FLUXIO_TABLE_NAME = "mine" }
    inline_branches      = -1
    park_after           = -1
    retention_days       = 0
    log_retention_days   = 2
    kms_key_arn          = "alias/mine"
    permissions_boundary = "bound"
    alarm_actions        = ["topic"]
    log_level            = "info"
    log_format           = "json"
    role_path            = "service/"
    vpc                  = { subnet_ids = [], security_group_ids = ["sg-1"] }
    policy_statements    = [{ actions = [], resources = ["*"] }]
    runbook_url          = "docs/operations.md"
    existing             = { table = { name = "ab", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ab" } }
    existing_function    = { function_name = "", timeout = 120 }
    billing              = { max_read_units = 0 }
    alarms               = { runs_failed = { threshold = -1 } }
    schedules            = { "" = { workflow = "", expression = "", timezone = "", input = "" } }
    run_events           = {}
    ephemeral_storage    = 511
    layers               = ["arn:aws:lambda:eu-west-1:123456789012:layer:extension"]
    layer_parameter      = ""
    layer_s3             = { bucket = "ab", key = "layer.zip" }

    maximum_concurrency     = 1
    reserved_concurrency    = 0
    provisioned_concurrency = -1
    point_in_time_recovery  = { days = 0 }
    composite_alarm_actions = ["topic"]
  }

  expect_failures = [
    var.name, var.tags, var.package, var.package_s3, var.layer_zip, var.layer_arn, var.handler, var.runtime,
    var.architecture, var.memory_size, var.timeout, var.environment, var.inline_branches, var.park_after,
    var.retention_days, var.log_retention_days, var.kms_key_arn, var.permissions_boundary, var.alarm_actions,
    var.log_level, var.composite_alarm_actions, var.log_format, var.role_path, var.vpc, var.policy_statements,
    var.existing, var.existing_function, var.billing, var.alarms, var.maximum_concurrency, var.reserved_concurrency,
    var.provisioned_concurrency, var.point_in_time_recovery, var.runbook_url, var.schedules, var.run_events,
    var.ephemeral_storage, var.layers, var.layer_parameter, var.layer_s3,
  ]
}

run "too_much_of_anything_is_refused" {
  command = plan

  variables {
    name              = "a2345678901234567890123456789012345678901"
    tags              = { for i in range(51) : "tag-${i}" => "x" }
    package           = "tests/inputs.tftest.hcl"
    layer_zip         = "tests/inputs.tftest.hcl"
    handler           = "${join("", [for i in range(128) : "a"])}.b"
    runtime           = "python3.15"
    memory_size       = 10241
    timeout           = 871
    environment       = { AWS_REGION = "eu-west-1" }
    inline_branches   = 21
    park_after        = 301
    retention_days    = 3651
    alarm_actions     = [for i in range(6) : "arn:aws:sns:eu-west-1:123456789012:topic-${i}"]
    role_path         = "/${join("", [for i in range(512) : "a"])}/"
    vpc               = { subnet_ids = ["subnet-1"], security_group_ids = [] }
    policy_statements = [{ actions = ["s3:GetObject"], resources = [] }]
    runbook_url       = "https://example.com/operations#runs_failed"
    existing          = { role = { name = "arn:aws:iam::123456789012:role/mine", arn = "arn:aws:iam::123456789012:role/mine" } }
    existing_function = { function_name = "arn:aws:lambda:eu-west-1:123456789012:function:mine", timeout = 120 }
    billing           = { max_write_units = 0.5 }
    alarms            = { oldest_nudge = { threshold = 1209601 } }
    schedules         = { a23456789012345678901234 = { workflow = "R", expression = "rate(1 day)" } }
    run_events        = { event_bus_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/default", topic_arn = "arn:aws:sns:eu-west-1:123456789012:runs" }
    ephemeral_storage = 10241
    layers            = [for i in range(5) : "arn:aws:lambda:eu-west-1:123456789012:layer:extension:${i}"]
    layer_parameter   = "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"
    layer_s3          = { bucket = "s3://artifacts", key = "layer.zip" }

    maximum_concurrency     = 1001
    point_in_time_recovery  = { days = 36 }
    composite_alarm_actions = [for i in range(6) : "arn:aws:sns:eu-west-1:123456789012:topic-${i}"]
  }

  expect_failures = [
    var.composite_alarm_actions, var.tags, var.handler,
    var.name, var.package, var.layer_zip, var.runtime, var.memory_size, var.timeout, var.environment,
    var.inline_branches, var.park_after, var.retention_days, var.alarm_actions, var.role_path, var.vpc, var.policy_statements, var.existing,
    var.existing_function, var.billing, var.alarms, var.maximum_concurrency, var.point_in_time_recovery, var.runbook_url, var.schedules,
    var.run_events, var.ephemeral_storage, var.layers, var.layer_parameter, var.layer_s3,
  ]
}

run "halves_and_odd_names_are_refused" {
  command = plan

  variables {
    name              = "Orders"
    memory_size       = 128.5
    timeout           = 10.5
    environment       = { "2ND" = "x" }
    tracing           = "active"
    inline_branches   = 0.5
    park_after        = 0.5
    retention_days    = 1.5
    role_path         = "/service"
    vpc               = { subnet_ids = ["vpc-1"], security_group_ids = ["sg-1"] }
    policy_statements = [{ actions = ["GetObject"], resources = ["*"] }]
    runbook_url       = "https://${join("", [for i in range(201) : "a"])}"
    existing          = { queue = { name = "todo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo" }, dlq = { name = "todo-dead.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo-dead.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo-dead.fifo" } }
    billing           = { mode = "ON_DEMAND" }
    alarms            = { dlq_not_empty = { threshold = 0.5 } }
    schedules         = { sweep = { workflow = "R", expression = "rate(1 day)" } }
    run_events        = { event_bus_arn = "default" }
    ephemeral_storage = 512.5
    layers            = [for i in range(2) : "arn:aws:lambda:eu-west-1:123456789012:layer:extension:1"]
    layer_parameter   = "/aws/fluxio"
    layer_s3          = { bucket = "artifacts", key = "layer.tar" }

    maximum_concurrency     = 2.5
    reserved_concurrency    = 1.5
    provisioned_concurrency = 0.5
    point_in_time_recovery  = { days = 1.5 }
  }

  expect_failures = [
    var.tracing, var.name, var.memory_size, var.timeout, var.environment, var.inline_branches, var.park_after, var.retention_days,
    var.role_path, var.vpc, var.policy_statements, var.existing, var.billing, var.alarms, var.maximum_concurrency,
    var.reserved_concurrency, var.provisioned_concurrency, var.point_in_time_recovery, var.runbook_url, var.schedules,
    var.run_events, var.ephemeral_storage, var.layers, var.layer_parameter, var.layer_s3,
  ]
}

run "billing_of_the_other_mode_an_unknown_effect_and_a_queue_that_is_its_own_dlq_are_refused" {
  command = plan

  variables {
    billing           = { mode = "PROVISIONED", max_read_units = 1, read = { min = 1, max = 1 }, write = { min = 1, max = 1 } }
    policy_statements = [{ effect = "deny", actions = ["s3:*"], resources = ["*"] }]
    vpc               = { subnet_ids = ["subnet-1"], security_group_ids = ["subnet-1"] }
    existing          = { queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" }, dlq = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" } }
    alarms            = { oldest_nudge = { threshold = 59 } }
    schedules         = { nightly = { workflow = "R", expression = "cron(0 2 * * ?)" } }
    run_events        = { topic_arn = "arn:aws:sns:eu-west-1:123456789012:runs.fifo" }
    layer_parameter   = "fluxio/layer"
    layer_s3          = { bucket = "artifacts", key = "layer.zip", version = "" }
  }

  expect_failures = [var.layer_parameter, var.layer_s3, var.run_events, var.billing, var.policy_statements, var.vpc, var.existing, var.alarms, var.schedules]
}

run "capacity_on_demand_a_sid_of_several_words_and_a_dlq_without_order_are_refused" {
  command = plan

  variables {
    billing           = { read = { min = 1, max = 1 } }
    policy_statements = [{ sid = "Read it", actions = ["s3:*"], resources = ["*"] }]
    existing          = { queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" }, dlq = { name = "todo-dead", arn = "arn:aws:sqs:eu-west-1:123456789012:todo-dead", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo-dead" } }
    alarms            = { sweep_silent = { threshold = 1 } }
    schedules         = { nightly = { workflow = "2R", expression = "rate(1 day)" } }
    run_events        = { topic_arn = "arn:aws:sns:eu-west-1:123456789012:runs", statuses = [] }
  }

  expect_failures = [var.run_events, var.billing, var.policy_statements, var.existing, var.alarms, var.schedules]
}

run "writes_without_a_capacity_a_sid_twice_and_a_queue_without_its_dlq_are_refused" {
  command = plan

  variables {
    billing           = { mode = "PROVISIONED", read = { min = 1, max = 1 } }
    existing          = { queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" } }
    policy_statements = [for bucket in ["a", "b"] : { sid = "Read", actions = ["s3:*"], resources = ["arn:aws:s3:::${bucket}"] }]
    alarms            = { sweep_silent = { threshold = 61 } }
    schedules         = { nightly = { workflow = "R", expression = "rate(1 day)", timezone = "Central European Time" } }
    run_events        = { topic_arn = "arn:aws:sns:eu-west-1:123456789012:runs", statuses = ["RUNNING"] }
  }

  expect_failures = [var.run_events, var.billing, var.policy_statements, var.alarms, var.existing, var.schedules]
}

run "no_capacity_at_all_and_a_resource_that_is_a_bare_name_are_refused" {
  command = plan

  variables {
    policy_statements = [{ actions = ["dynamodb:PutItem"], resources = ["ledger"] }]

    billing = { mode = "PROVISIONED", read = { min = 0, max = 1 }, write = { min = 1, max = 1 } }
    alarms  = { worker_duration = { threshold = 100 } }

    schedules = { nightly = { workflow = "R", expression = "rate(1 day)", input = "[1]" } }

    run_events = { topic_arn = "arn:aws:sns:eu-west-1:123456789012:runs", topic_kms_key_arn = "alias/mine" }
  }

  expect_failures = [var.run_events, var.billing, var.alarms, var.policy_statements, var.schedules]
}

run "a_greatest_capacity_below_the_least_and_half_an_arn_are_refused" {
  command = plan

  variables {
    policy_statements = [{ actions = ["s3:GetObject"], resources = ["*", "arn:aws:s3:::a/*", "arn:aws:s3"] }]

    billing = { mode = "PROVISIONED", read = { min = 1, max = 1 }, write = { min = 2, max = 1 } }
    alarms  = { worker_duration = { threshold = 0 } }

    schedules = { nightly = { workflow = "R", expression = "rate(1 day)", input = jsonencode({ a = format("%0239987d", 0) }) } }
  }

  expect_failures = [var.billing, var.alarms, var.policy_statements, var.schedules]
}

run "half_a_unit_is_refused" {
  command = plan

  variables {
    billing   = { mode = "PROVISIONED", read = { min = 1, max = 1.5 }, write = { min = 1, max = 1 } }
    schedules = { nightly = { workflow = "R", expression = "rate(1 days)" } }

    run_events = { event_bus_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/default", topic_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1" }
  }

  expect_failures = [var.run_events, var.billing, var.schedules]
}

run "scaling_before_a_fifth_is_used_is_refused" {
  command = plan

  variables {
    billing = { mode = "PROVISIONED", read = { min = 1, max = 2, utilization = 19 }, write = { min = 1, max = 1 } }
  }

  expect_failures = [var.billing]
}

run "scaling_when_nearly_all_is_used_is_refused" {
  command = plan

  variables {
    billing = { mode = "PROVISIONED", read = { min = 1, max = 2 }, write = { min = 1, max = 1, utilization = 91 } }
  }

  expect_failures = [var.billing]
}

# ---- What takes two inputs ------------------------------------------------------------------------------------------

run "no_package_is_refused" {
  command = plan

  variables {
    package_s3 = null
  }

  expect_failures = [aws_lambda_function.worker]
}

run "two_packages_are_refused" {
  command = plan

  variables {
    package = "tests/fixtures/package.zip"
  }

  expect_failures = [aws_lambda_function.worker]
}

run "one_at_a_time_is_accepted" {
  command = plan

  variables {
    reserved_concurrency = 1
  }

  assert {
    condition     = aws_lambda_function.worker[0].reserved_concurrent_executions == 1 && length(aws_lambda_event_source_mapping.nudges.scaling_config) == 0
    error_message = "one invocation is reserved, and the mapping has no limit of its own, whose least is 2"
  }
}

run "a_queue_that_starts_more_than_may_run_is_refused" {
  command = plan

  variables {
    maximum_concurrency  = 3
    reserved_concurrency = 2
  }

  expect_failures = [aws_lambda_function.worker]
}

run "more_kept_ready_than_reserved_is_refused" {
  command = plan

  variables {
    provisioned_concurrency = 3
    reserved_concurrency    = 2
  }

  expect_failures = [aws_lambda_function.worker]
}
