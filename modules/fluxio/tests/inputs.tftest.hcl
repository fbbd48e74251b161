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
    batch_size         = 1
    inline_branches    = 0
    retention_days     = 1
    log_retention_days = 0
    runtime            = "python3.10"
  }

  assert {
    condition     = aws_sqs_queue.nudges.visibility_timeout_seconds == 40
    error_message = "visibility is the function's timeout and 30 seconds"
  }
}

run "the_most_of_everything_is_accepted" {
  command = plan

  variables {
    name                 = "a234567890123456789012345678901234567890"
    memory_size          = 10240
    timeout              = 870
    batch_size           = 10
    inline_branches      = 20
    retention_days       = 3650
    log_retention_days   = 3653
    runtime              = "python3.13"
    architecture         = "arm64"
    handler              = "orders/entry.handle"
    environment          = { STRIPE_URL = "https://example.com", AWS_LAMBDA_EXEC_WRAPPER = "/opt/wrapper" }
    permissions_boundary = "arn:aws:iam::123456789012:policy/bound"
    alarm_actions        = [for i in range(5) : "arn:aws:sns:eu-west-1:123456789012:topic-${i}"]
  }

  assert {
    condition     = alltrue([for name in values(local.names) : length(replace(name, "/aws/lambda/", "")) <= 64])
    error_message = "the longest name allowed makes a name that AWS refuses"
  }
}

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
    batch_size           = 0
    inline_branches      = -1
    retention_days       = 0
    log_retention_days   = 2
    kms_key_arn          = "alias/mine"
    permissions_boundary = "bound"
    alarm_actions        = ["topic"]
    log_level            = "info"

    composite_alarm_actions = ["topic"]
  }

  expect_failures = [
    var.name, var.tags, var.package, var.package_s3, var.layer_zip, var.layer_arn, var.handler, var.runtime,
    var.architecture, var.memory_size, var.timeout, var.environment, var.batch_size, var.inline_branches,
    var.retention_days, var.log_retention_days, var.kms_key_arn, var.permissions_boundary, var.alarm_actions,
    var.log_level, var.composite_alarm_actions,
  ]
}

run "too_much_of_anything_is_refused" {
  command = plan

  variables {
    name            = "a2345678901234567890123456789012345678901"
    package         = "tests/inputs.tftest.hcl"
    layer_zip       = "tests/inputs.tftest.hcl"
    runtime         = "python3.14"
    memory_size     = 10241
    timeout         = 871
    environment     = { AWS_REGION = "eu-west-1" }
    batch_size      = 11
    inline_branches = 21
    retention_days  = 3651
    alarm_actions   = [for i in range(6) : "arn:aws:sns:eu-west-1:123456789012:topic-${i}"]

    composite_alarm_actions = [for i in range(6) : "arn:aws:sns:eu-west-1:123456789012:topic-${i}"]
  }

  expect_failures = [
    var.composite_alarm_actions,
    var.name, var.package, var.layer_zip, var.runtime, var.memory_size, var.timeout, var.environment, var.batch_size,
    var.inline_branches, var.retention_days, var.alarm_actions,
  ]
}

run "halves_and_odd_names_are_refused" {
  command = plan

  variables {
    name            = "Orders"
    memory_size     = 128.5
    timeout         = 10.5
    environment     = { "2ND" = "x" }
    tracing         = "active"
    batch_size      = 1.5
    inline_branches = 0.5
    retention_days  = 1.5
  }

  expect_failures = [
    var.tracing, var.name, var.memory_size, var.timeout, var.environment, var.batch_size, var.inline_branches, var.retention_days,
  ]
}

run "no_package_and_no_layer_is_refused" {
  command = plan

  variables {
    package_s3 = null
    layer_arn  = null
  }

  expect_failures = [aws_lambda_function.worker]
}

run "two_packages_and_two_layers_are_refused" {
  command = plan

  variables {
    package   = "tests/fixtures/package.zip"
    layer_zip = "tests/fixtures/layer-x86_64.zip"
  }

  expect_failures = [aws_lambda_function.worker]
}

run "a_layer_for_the_other_architecture_is_refused" {
  command = plan

  variables {
    layer_arn    = null
    layer_zip    = "tests/fixtures/layer-x86_64.zip"
    architecture = "arm64"
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "a_layer_of_another_series_of_versions_is_refused" {
  command = plan

  variables {
    layer_arn = null
    layer_zip = "tests/fixtures/fluxio-layer-0.0.0-x86_64.zip"
  }

  expect_failures = [aws_lambda_layer_version.engine]
}
