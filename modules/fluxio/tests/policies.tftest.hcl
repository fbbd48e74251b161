# Least privilege, to the letter. The real provider with made-up keys, since a mocked one does not write policies; it
# plans offline, because the only question it would ask AWS (which account is this?) is answered here.

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
  layer_arn  = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
}

run "the_worker_a_client_the_schedule_and_the_queues" {
  command = plan

  # The worker

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.worker.policy).Statement : s.Sid => join(" ", sort(flatten([s.Action]))) } == {
      ReadAndMoveRuns           = "dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem"
      FindRunsThatAreDue        = "dynamodb:Query"
      SendNudges                = "sqs:SendMessage"
      TakeNudgesAndPostponeThem = "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage"
      WriteItsOwnLog            = "logs:CreateLogStream logs:PutLogEvents"
    }
    error_message = "the worker may do this and no more"
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.worker.policy).Statement : s.Sid => s.Resource } == {
      ReadAndMoveRuns           = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs"
      FindRunsThatAreDue        = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/due"
      SendNudges                = "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"
      TakeNudgesAndPostponeThem = "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"
      WriteItsOwnLog            = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/orders-worker:*"
    }
    error_message = "and to nothing but its own table, index, queue and log"
  }

  # A client

  assert {
    condition = { for s in jsondecode(output.client_policy_json).Statement : s.Sid => join(" ", sort(flatten([s.Action]))) } == {
      StartReadAndSteerRuns       = "dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
      FindRunsByWorkflowOrFailure = "dynamodb:Query"
      NudgeTheWorker              = "sqs:SendMessage"
    }
    error_message = "a client may do this and no more"
  }

  assert {
    condition = toset(flatten([for s in jsondecode(output.client_policy_json).Statement : s.Resource])) == toset([
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/by_workflow",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/failed",
      "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo",
    ])
    error_message = "and to nothing but the table, two indexes and the queue"
  }

  # The schedule

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.schedule.policy).Statement : "${s.Action} ${s.Resource}"] == ["lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:orders-worker"]
    error_message = "the schedule may invoke the worker and nothing else"
  }

  assert {
    condition     = jsondecode(aws_iam_role.schedule.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "no other account's schedule may use the role"
  }

  # The queues

  assert {
    condition = alltrue([
      for arn, policy in {
        "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"     = aws_sqs_queue.nudges.policy
        "arn:aws:sqs:eu-west-1:123456789012:orders-nudges-dlq.fifo" = aws_sqs_queue.dlq.policy
        } : jsondecode(policy).Statement == [{
          Sid       = "RefuseWhoeverDoesNotUseTls"
          Effect    = "Deny"
          Action    = "sqs:*"
          Principal = "*"
          Resource  = arn
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    ])
    error_message = "both queues refuse whoever comes without TLS, and allow nobody anything"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.dlq.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"]
    error_message = "the DLQ takes messages from the queue alone"
  }
}

run "with_traces" {
  command = plan

  variables {
    tracing = "Active"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.worker.policy).Statement : "${join(" ", sort(flatten([s.Action])))} ${s.Resource}"
      if startswith(join(" ", flatten([s.Action])), "xray:")
    ] == ["xray:PutTelemetryRecords xray:PutTraceSegments *"]
    error_message = "the worker may write traces, and not read them"
  }
}

run "with_a_key_and_a_boundary" {
  command = plan

  variables {
    kms_key_arn          = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    permissions_boundary = "arn:aws:iam::123456789012:policy/bound"
  }

  assert {
    condition = alltrue([
      for policy in [aws_iam_role_policy.worker.policy, output.client_policy_json] : [
        for s in jsondecode(policy).Statement : "${join(" ", sort(s.Action))} ${s.Resource}" if s.Sid == "UseTheKeyThroughTheServices"
      ] == ["kms:Decrypt kms:DescribeKey kms:GenerateDataKey ${var.kms_key_arn}"]
    ])
    error_message = "worker and client may use the key that was given"
  }

  assert {
    condition     = toset([aws_iam_role.worker.permissions_boundary, aws_iam_role.schedule.permissions_boundary]) == toset([var.permissions_boundary])
    error_message = "both roles are bounded"
  }
}
