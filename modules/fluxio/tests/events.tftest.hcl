# Events of runs that have ended. The real provider with made-up keys, as in policies.tftest.hcl.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

variables {
  name       = "orders"
  package_s3 = { bucket = "artifacts", key = "orders.zip", version = "1" }
  layer_zip  = "tests/fixtures/layer-x86_64.zip"
}

run "nobody_is_told_unless_asked_for" {
  command = plan

  assert {
    condition     = length(concat(aws_pipes_pipe.run_events, aws_iam_role.run_events, aws_iam_role_policy.run_events)) == 0 && output.run_events_pipe_arn == null
    error_message = "nothing is made that was not asked for"
  }

  assert {
    condition     = aws_dynamodb_table.runs[0].stream_enabled == null
    error_message = "and the table has no stream"
  }
}

run "a_bus_is_told" {
  command = plan

  variables {
    run_events = { event_bus_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/orders" }
  }

  assert {
    condition     = aws_dynamodb_table.runs[0].stream_enabled && aws_dynamodb_table.runs[0].stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "the stream shows the status before and after"
  }

  assert {
    condition = jsondecode(aws_pipes_pipe.run_events[0].source_parameters[0].filter_criteria[0].filter[0].pattern) == {
      dynamodb = {
        Keys     = { sk = { S = ["run"] } }
        NewImage = { status = { S = ["CANCELLED", "COMPENSATED", "FAILED", "SUCCEEDED"] } }
        OldImage = { status = { S = [{ "anything-but" = ["SUCCEEDED", "FAILED", "COMPENSATED", "CANCELLED"] }] } }
      }
    }
    error_message = "of a run's item, when its status becomes one of an ended run"
  }

  assert {
    condition = jsondecode(aws_pipes_pipe.run_events[0].target_parameters[0].input_template) == {
      deployment = "orders"
      run_id     = "<$.dynamodb.Keys.pk.S>"
      workflow   = "<$.dynamodb.NewImage.workflow.S>"
      status     = "<$.dynamodb.NewImage.status.S>"
      created_at = "<$.dynamodb.NewImage.created_at.N>"
      ended_at   = "<$.dynamodb.NewImage.ended_at.N>"
    } && !can(regex("u003", aws_pipes_pipe.run_events[0].target_parameters[0].input_template))
    error_message = "an event holds these and nothing of what the run works on"
  }

  assert {
    condition     = one(aws_pipes_pipe.run_events[0].target_parameters[0].eventbridge_event_bus_parameters[*].detail_type) == "fluxio run ended"
    error_message = "and can be told from others by its type"
  }

  assert {
    condition     = aws_pipes_pipe.run_events[0].source_parameters[0].dynamodb_stream_parameters[0].maximum_retry_attempts == -1 && aws_pipes_pipe.run_events[0].source_parameters[0].dynamodb_stream_parameters[0].maximum_record_age_in_seconds == -1
    error_message = "it is tried for as long as the stream has it"
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.run_events[0].policy).Statement : s.Sid => "${join(" ", sort(flatten([s.Action])))} ${s.Resource}" } == {
      FindTheStream = "dynamodb:ListStreams *"
      ReadTheStream = "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/stream/*"
      TellOfRuns    = "events:PutEvents arn:aws:events:eu-west-1:123456789012:event-bus/orders"
    }
    error_message = "the pipe may read this stream and tell this bus, and no more"
  }

  assert {
    condition = jsondecode(aws_iam_role.run_events[0].assume_role_policy).Statement[0].Condition == {
      StringEquals = { "aws:SourceAccount" = "123456789012" }
      ArnEquals    = { "aws:SourceArn" = "arn:aws:pipes:eu-west-1:123456789012:pipe/orders-run-events" }
    }
    error_message = "and no other pipe may use its role"
  }
}

run "an_encrypted_topic_is_told_of_failures" {
  command = plan

  variables {
    kms_key_arn          = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    permissions_boundary = "arn:aws:iam::123456789012:policy/bound"
    run_events = {
      topic_arn         = "arn:aws:sns:eu-west-1:123456789012:runs"
      topic_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/66666666-2222-3333-4444-555555555555"
      statuses          = ["FAILED"]
    }
  }

  assert {
    condition     = jsondecode(aws_pipes_pipe.run_events[0].source_parameters[0].filter_criteria[0].filter[0].pattern).dynamodb.NewImage.status.S == ["FAILED"]
    error_message = "of nothing else"
  }

  assert {
    condition     = length(aws_pipes_pipe.run_events[0].target_parameters[0].eventbridge_event_bus_parameters) == 0
    error_message = "a topic takes no parameters of a bus"
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.run_events[0].policy).Statement : s.Sid => "${join(" ", sort(flatten([s.Action])))} ${s.Resource} ${try(s.Condition.StringLike["kms:ViaService"], "")}" if !endswith(s.Sid, "TheStream") } == {
      TellOfRuns              = "sns:Publish arn:aws:sns:eu-west-1:123456789012:runs "
      ReadTheStreamWithItsKey = "kms:Decrypt ${var.kms_key_arn} dynamodb.*.amazonaws.com"
      UseTheTopicsKey         = "kms:Decrypt kms:GenerateDataKey ${var.run_events.topic_kms_key_arn} sns.*.amazonaws.com"
    }
    error_message = "each key is used through its service alone"
  }

  assert {
    condition     = aws_iam_role.run_events[0].permissions_boundary == var.permissions_boundary
    error_message = "this role is bounded as the others are"
  }
}

run "from_the_stream_of_a_table_that_is_there" {
  command = plan

  variables {
    existing = { table = {
      name             = "mine", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
      stream_view_type = "NEW_AND_OLD_IMAGES"
      stream_arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine/stream/2026-11-25T00:00:00.000"
    } }
    run_events = { event_bus_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/default" }
  }

  assert {
    condition     = aws_pipes_pipe.run_events[0].source == var.existing.table.stream_arn
    error_message = "the pipe reads what was given"
  }
}

run "a_table_that_is_there_without_both_images_is_refused" {
  command = plan

  variables {
    existing = { table = {
      name             = "mine", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine"
      stream_view_type = "KEYS_ONLY"
      stream_arn       = "arn:aws:dynamodb:eu-west-1:123456789012:table/mine/stream/2026-11-25T00:00:00.000"
    } }
    run_events = { event_bus_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/default" }
  }

  expect_failures = [aws_pipes_pipe.run_events]
}
