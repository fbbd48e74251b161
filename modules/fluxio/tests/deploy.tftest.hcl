# What an apply deploys: in one step, and only what has changed. Offline: nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/orders-worker" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders-worker", version = "1" }
  }

  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:live" }
  }

  mock_resource "aws_lambda_layer_version" {
    defaults = { layer_arn = "arn:aws:lambda:eu-west-1:123456789012:layer:orders-engine", version = "1" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-nudges.fifo" }
  }
}

variables {
  name      = "orders"
  package   = "tests/fixtures/package.zip"
  layer_zip = "tests/fixtures/layer-x86_64.zip"
}

run "a_deployment_is_one_step" {
  command = apply

  assert {
    condition     = aws_lambda_function.worker[0].publish && aws_lambda_alias.live[0].name == "live" && aws_lambda_alias.live[0].function_version == "1"
    error_message = "each apply publishes a version, and only then moves the alias to it"
  }

  assert {
    condition = toset([
      aws_lambda_event_source_mapping.nudges.function_name, aws_scheduler_schedule.sweep.target[0].arn, output.worker_alias_arn,
    ]) == toset(["arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:live"])
    error_message = "queue and schedule call the alias, and never a function between two calls of an update"
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.worker.qualifier == "live"
    error_message = "a sweep by the alias is not tried again"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.nudges.event_source_arn == "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"
    error_message = "the mapping takes from the queue that was made, by the ARN in the state"
  }
}

# Where a zip lies on the machine that plans is no part of what is deployed.

run "applied_from_one_place" {
  command = apply

  assert {
    condition     = aws_lambda_function.worker[0].filename == var.package && aws_lambda_function.worker[0].source_code_hash == filebase64sha256(var.package)
    error_message = "the worker is made from the zip, and anew when the zip changes"
  }
}

run "the_same_zips_at_another_place_are_no_change" {
  command = plan

  variables {
    package   = "tests/fixtures/elsewhere/package.zip"
    layer_zip = "tests/fixtures/elsewhere/layer-x86_64.zip"
  }

  assert {
    condition     = aws_lambda_function.worker[0].filename == "tests/fixtures/package.zip"
    error_message = "the function keeps the path of which its code came"
  }

  assert {
    condition     = output.layer_arn == "arn:aws:lambda:eu-west-1:123456789012:layer:orders-engine:1"
    error_message = "and its layer version"
  }
}

run "another_zip_is_taken_from_its_own_place" {
  command = apply

  variables {
    package = "tests/fixtures/elsewhere/layer-x86_64.zip"
  }

  assert {
    condition     = aws_lambda_function.worker[0].filename == var.package && aws_lambda_function.worker[0].source_code_hash == filebase64sha256(var.package)
    error_message = "the worker is made from the zip that is given now"
  }
}

run "an_ending_in_capitals_is_the_same_ending" {
  command = apply

  variables {
    package = "tests/fixtures/PACKAGE.ZIP"
  }

  assert {
    condition     = aws_lambda_function.worker[0].filename == "tests/fixtures/PACKAGE.ZIP"
    error_message = "Windows and some archivers write it so"
  }
}

run "with_layers_besides_the_engines_and_a_parameter" {
  command = apply

  variables {
    layers            = ["arn:aws:lambda:eu-west-1:111122223333:layer:b:1", "arn:aws:lambda:eu-west-1:111122223333:layer:a:2"]
    layer_parameter   = "/fluxio/orders/layer"
    ephemeral_storage = 1024
  }

  assert {
    condition     = aws_lambda_function.worker[0].layers == tolist(concat(var.layers, [output.layer_arn]))
    error_message = "they come in the order given, and the engine's last: none replaces its files"
  }

  assert {
    condition     = module.layer[0].parameter_name == output.layer_parameter && output.layer_parameter == "/fluxio/orders/layer"
    error_message = "other stacks are told where to look"
  }

  assert {
    condition     = aws_lambda_function.worker[0].ephemeral_storage[0].size == 1024
    error_message = "the worker's /tmp is as large as was asked for"
  }
}
