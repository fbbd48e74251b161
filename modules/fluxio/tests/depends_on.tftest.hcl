# A `depends_on` of the module's block is no way to use it (pass values), but it breaks nothing. Offline.

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
  billing = { mode = "PAY_PER_REQUEST" }
  theirs  = "as it was"
}

run "on_demand_it_is_made" {
  command = apply

  module {
    source = "./tests/fixtures/depends_on"
  }
}

run "a_change_elsewhere_leaves_the_queue_s_mapping_alone" {
  command = plan

  module {
    source = "./tests/fixtures/depends_on"
  }

  variables {
    theirs = "changed"
  }

  # An assertion on what is not known before the apply would fail.
  assert {
    condition     = output.queue_arn == "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo" && output.worker_alias_arn == "arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:live"
    error_message = "what the mapping connects is known while a change elsewhere is still to come"
  }
}

run "with_provisioned_capacity_that_scales_it_can_follow" {
  command = apply

  module {
    source = "./tests/fixtures/depends_on"
  }

  variables {
    billing = { mode = "PROVISIONED", read = { min = 1, max = 5 }, write = { min = 1, max = 5 } }
    theirs  = "changed once more"
  }
}
