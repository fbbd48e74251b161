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
  layer_zip  = "tests/fixtures/layer-x86_64.zip"
}

run "the_worker_a_client_the_schedule_and_the_queues" {
  command = plan

  # The worker

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.worker[0].policy).Statement : s.Sid => join(" ", sort(flatten([s.Action]))) } == {
      ReadAndMoveRuns           = "dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem"
      FindRunsThatAreDue        = "dynamodb:Query"
      SendNudges                = "sqs:SendMessage"
      TakeNudgesAndPostponeThem = "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage"
      WriteItsOwnLog            = "logs:CreateLogStream logs:PutLogEvents"
    }
    error_message = "the worker may do this and no more"
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.worker[0].policy).Statement : s.Sid => s.Resource } == {
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
      StartReadAndSteerRuns = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
      FindRuns              = "dynamodb:Query"
      NudgeTheWorker        = "sqs:SendMessage"
    }
    error_message = "a client may do this and no more"
  }

  assert {
    condition = toset(flatten([for s in jsondecode(output.client_policy_json).Statement : s.Resource])) == toset([
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/by_workflow",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/due",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/failed",
      "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo",
    ])
    error_message = "and to nothing but the table, its indexes and the queue"
  }

  # An operator

  assert {
    condition = { for s in jsondecode(output.operator_policy_json).Statement : s.Sid => join(" ", sort(flatten([s.Action]))) } == {
      StartReadAndSteerRuns    = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
      FindRuns                 = "dynamodb:Query"
      NudgeTheWorker           = "sqs:SendMessage"
      FindFailedAndWaitingRuns = "dynamodb:Scan"
      LookAtTheTable           = "dynamodb:DescribeContinuousBackups dynamodb:DescribeTable dynamodb:DescribeTimeToLive"
      LookAtTheQueues          = "sqs:GetQueueAttributes"
      ReadAndEmptyTheDlq       = "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:ReceiveMessage"
      LookAtTheWorker          = "lambda:GetFunctionConcurrency lambda:GetFunctionConfiguration lambda:GetFunctionRecursionConfig"
      LookAtItsLayers          = "lambda:GetLayerVersion"
      ReadItsLog               = "logs:FilterLogEvents"
      LookAtTheSchedule        = "scheduler:GetSchedule"
      FindMappingAndSchedule   = "lambda:ListEventSourceMappings scheduler:ListSchedules"
    }
    error_message = "an operator may do what a client may, and what docs/cli.md lists besides"
  }

  assert {
    condition = { for s in jsondecode(output.operator_policy_json).Statement : s.Sid => join(" ", sort(flatten([s.Resource]))) if !contains(["StartReadAndSteerRuns", "FindRuns", "NudgeTheWorker"], s.Sid) } == {
      FindFailedAndWaitingRuns = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/by_workflow arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs/index/failed"
      LookAtTheTable           = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-runs"
      LookAtTheQueues          = "arn:aws:sqs:eu-west-1:123456789012:orders-nudges-dlq.fifo arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"
      ReadAndEmptyTheDlq       = "arn:aws:sqs:eu-west-1:123456789012:orders-nudges-dlq.fifo"
      LookAtTheWorker          = "arn:aws:lambda:eu-west-1:123456789012:function:orders-worker arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:live"
      LookAtItsLayers          = "arn:aws:lambda:eu-west-1:123456789012:layer:orders-engine:*"
      ReadItsLog               = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/orders-worker arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/orders-worker:*"
      LookAtTheSchedule        = "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/orders-sweep"
      FindMappingAndSchedule   = "*"
    }
    error_message = "and to nothing but this deployment"
  }

  assert {
    condition     = jsondecode(output.worker_policy_json) == jsondecode(aws_iam_role_policy.worker[0].policy)
    error_message = "whoever brings a role of their own is told the very policy that the module's role has"
  }

  # The schedule

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.schedule.policy).Statement : "${s.Action} ${s.Resource}"] == ["lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:live"]
    error_message = "the schedule may invoke the worker's alias and nothing else"
  }

  assert {
    condition     = jsondecode(aws_iam_role.schedule.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "no other account's schedule may use the role"
  }

  # The queues

  assert {
    condition = alltrue([
      for arn, policy in {
        "arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"     = aws_sqs_queue.nudges[0].policy
        "arn:aws:sqs:eu-west-1:123456789012:orders-nudges-dlq.fifo" = aws_sqs_queue.dlq[0].policy
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
    condition     = jsondecode(aws_sqs_queue.dlq[0].redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-west-1:123456789012:orders-nudges.fifo"]
    error_message = "the DLQ takes messages from the queue alone"
  }
}

run "with_traces_a_vpc_and_rights_of_the_steps" {
  command = plan

  variables {
    tracing = "Active"
    vpc     = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    policy_statements = [
      { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::invoices/*"] },
      {
        sid        = "NotAtNight"
        effect     = "Deny"
        actions    = ["ses:*"]
        resources  = ["*"]
        conditions = [{ test = "DateLessThan", variable = "aws:CurrentTime", values = ["2027-01-01T00:00:00Z"] }]
      },
    ]
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.worker[0].policy).Statement : "${join(" ", sort(flatten([s.Action])))} ${s.Resource}"
      if startswith(join(" ", flatten([s.Action])), "xray:")
    ] == ["xray:PutTelemetryRecords xray:PutTraceSegments *"]
    error_message = "the worker may write traces, and not read them"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.worker[0].policy).Statement : join(" ", sort(s.Action)) if try(s.Sid, "") == "BeInTheVpc"
    ] == ["ec2:AssignPrivateIpAddresses ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeNetworkInterfaces ec2:DescribeSubnets ec2:UnassignPrivateIpAddresses"]
    error_message = "Lambda may make network interfaces in the worker's name, as AWS asks for"
  }

  assert {
    condition = slice(jsondecode(aws_iam_role_policy.worker[0].policy).Statement, 7, 9) == [
      { Effect = "Allow", Action = "s3:GetObject", Resource = "arn:aws:s3:::invoices/*" },
      {
        Sid       = "NotAtNight"
        Effect    = "Deny"
        Action    = "ses:*"
        Resource  = "*"
        Condition = { DateLessThan = { "aws:CurrentTime" = "2027-01-01T00:00:00Z" } }
      },
    ]
    error_message = "what the steps need is added as it was given"
  }
}

run "with_layers_besides_the_engines" {
  command = plan

  variables {
    layers = ["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:7"]
  }

  assert {
    condition     = [for s in jsondecode(output.operator_policy_json).Statement : join(" ", sort(s.Resource)) if s.Sid == "LookAtItsLayers"] == ["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:7 arn:aws:lambda:eu-west-1:123456789012:layer:orders-engine:*"]
    error_message = "an operator may look at all of the worker's layers"
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
      for policy in [aws_iam_role_policy.worker[0].policy, output.client_policy_json] : [
        for s in jsondecode(policy).Statement : "${join(" ", sort(s.Action))} ${s.Resource}" if s.Sid == "UseTheKeyThroughTheServices"
      ] == ["kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey* kms:ReEncrypt* ${var.kms_key_arn}"]
    ])
    error_message = "worker and client may use the key that was given, as far as DynamoDB asks for it"
  }

  assert {
    condition = alltrue([
      for policy in [aws_iam_role_policy.worker[0].policy, output.client_policy_json, output.operator_policy_json] : alltrue([
        for s in jsondecode(policy).Statement : alltrue([for service in flatten([s.Condition.StringLike["kms:ViaService"]]) : can(regex("^(dynamodb|sqs|lambda)[.][*][.]amazonaws[.]com$", service))])
        if length([for action in flatten([s.Action]) : action if startswith(action, "kms:")]) > 0
      ])
    ])
    error_message = "and nobody by any other way than through the services"
  }

  assert {
    condition     = [for s in jsondecode(output.operator_policy_json).Statement : "${s.Action} ${s.Condition.StringLike["kms:ViaService"]}" if s.Sid == "ReadTheWorkersSettings"] == ["kms:Decrypt lambda.*.amazonaws.com"]
    error_message = "an operator sees the worker's environment, which is encrypted with the key"
  }

  assert {
    condition     = toset([aws_iam_role.worker[0].permissions_boundary, aws_iam_role.schedule.permissions_boundary]) == toset([var.permissions_boundary])
    error_message = "both roles are bounded"
  }
}

# Names in use are the names in the policies, whoever gave them.
run "of_what_is_there_already" {
  command = plan

  variables {
    package_s3 = null
    layer_zip  = null
    existing = {
      table = { name = "ledger.runs", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs" }
      queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" }
      dlq   = { name = "todo-dead.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo-dead.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo-dead.fifo" }
    }
    existing_function = {
      function_name  = "my-worker"
      timeout        = 120
      role           = "arn:aws:iam::123456789012:role/service/my-role"
      layers         = ["arn:aws:lambda:eu-west-1:123456789012:layer:mine:3"]
      logging_config = [{ log_group = "/my/log" }]
      environment = [{ variables = {
        FLUXIO_TABLE_NAME       = "ledger.runs"
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

  assert {
    condition = toset(flatten([for s in jsondecode(output.operator_policy_json).Statement : s.Resource])) == toset([
      "*",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs/index/by_workflow",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs/index/due",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs/index/failed",
      "arn:aws:lambda:eu-west-1:123456789012:function:my-worker",
      "arn:aws:lambda:eu-west-1:123456789012:layer:mine:3",
      "arn:aws:logs:eu-west-1:123456789012:log-group:/my/log",
      "arn:aws:logs:eu-west-1:123456789012:log-group:/my/log:*",
      "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/orders-sweep",
      "arn:aws:sqs:eu-west-1:123456789012:todo-dead.fifo",
      "arn:aws:sqs:eu-west-1:123456789012:todo.fifo",
    ])
    error_message = "client and operator may use the tables, queues and functions that are in use"
  }

  assert {
    condition = toset(flatten([for s in jsondecode(output.worker_policy_json).Statement : s.Resource])) == toset([
      "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs",
      "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger.runs/index/due",
      "arn:aws:logs:eu-west-1:123456789012:log-group:/my/log:*",
      "arn:aws:sqs:eu-west-1:123456789012:todo.fifo",
    ])
    error_message = "and so may a worker"
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.schedule.policy).Statement : s.Resource] == ["arn:aws:lambda:eu-west-1:123456789012:function:my-worker"]
    error_message = "and the schedule"
  }

  assert {
    condition     = output.worker_role_name == "my-role" && output.log_group_name == "/my/log" && output.worker_function_name == "my-worker"
    error_message = "the outputs name what is in use"
  }
}
