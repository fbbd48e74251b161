# Schedules that start runs. The real provider with made-up keys, as in policies.tftest.hcl.

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

  existing = {
    queue = { name = "todo.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo" }
    dlq   = { name = "todo-dead.fifo", arn = "arn:aws:sqs:eu-west-1:123456789012:todo-dead.fifo", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo-dead.fifo" }
  }

  schedules = {
    nightly = {
      workflow   = "Report"
      expression = "cron(0 2 * * ? *)"
      timezone   = "Europe/Berlin"
      input      = jsonencode({ until = "<aws.scheduler.scheduled-time>", only = "a < b", share = 0.1, shops = [{ id = 7 }] })
    }
    hourly = { workflow = "Tidy", expression = "rate(1 hour)", enabled = false }
  }
}

run "without_schedules_there_are_none" {
  command = plan

  variables {
    schedules = {}
  }

  assert {
    condition     = length(aws_scheduler_schedule.start) == 0 && length(output.run_schedule_arns) == 0
    error_message = "nothing is made that was not asked for"
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.schedule.policy).Statement : s.Sid] == ["InvokeTheWorker"]
    error_message = "and nobody may do more"
  }
}

run "a_schedule_sends_a_message_that_starts_a_run" {
  command = plan

  assert {
    condition = { for name, schedule in aws_scheduler_schedule.start : name => "${schedule.name} ${schedule.schedule_expression} ${schedule.schedule_expression_timezone} ${schedule.state}" } == {
      nightly = "orders-nightly cron(0 2 * * ? *) Europe/Berlin ENABLED"
      hourly  = "orders-hourly rate(1 hour) UTC DISABLED"
    }
    error_message = "each fires when it was told to"
  }

  assert {
    condition = alltrue([
      for name, schedule in aws_scheduler_schedule.start : { for key, value in jsondecode(schedule.target[0].input) : key => value if key != "MessageBody" } == {
        QueueUrl               = "https://sqs.eu-west-1.amazonaws.com/123456789012/todo.fifo"
        MessageGroupId         = "${name}-<aws.scheduler.scheduled-time>"
        MessageDeduplicationId = "${name}-<aws.scheduler.scheduled-time>"
      }
    ])
    error_message = "its message goes into the queue, once in five minutes"
  }

  assert {
    condition = jsonencode(jsondecode(jsondecode(aws_scheduler_schedule.start["nightly"].target[0].input).MessageBody)) == jsonencode({
      run_id   = "nightly-<aws.scheduler.scheduled-time>"
      workflow = "Report"
      input    = { until = "<aws.scheduler.scheduled-time>", only = "a < b", share = 0.1, shops = [{ id = 7 }] }
    })
    error_message = "and says which run to start, with the input as it was given"
  }

  assert {
    condition     = alltrue([for schedule in aws_scheduler_schedule.start : !can(regex("u003caws", schedule.target[0].input))]) && length(split("<aws.scheduler.scheduled-time>", aws_scheduler_schedule.start["nightly"].target[0].input)) == 5
    error_message = "Scheduler finds each place where the time belongs: it knows no escapes"
  }

  assert {
    condition     = alltrue([for schedule in aws_scheduler_schedule.start : schedule.target[0].retry_policy[0].maximum_event_age_in_seconds == 86400])
    error_message = "what SQS does not take is tried again for a day"
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.schedule.policy).Statement : s.Sid => "${s.Action} ${s.Resource}" } == {
      InvokeTheWorker = "lambda:InvokeFunction arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:live"
      StartRuns       = "sqs:SendMessage arn:aws:sqs:eu-west-1:123456789012:todo.fifo"
    }
    error_message = "Scheduler may send into this queue, and do nothing else besides the sweep"
  }
}

run "into_a_queue_with_a_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.schedule.policy).Statement : "${join(" ", sort(s.Action))} ${s.Resource} ${s.Condition.StringLike["kms:ViaService"]}" if s.Sid == "UseTheKeyThroughTheQueue"] == ["kms:Decrypt kms:GenerateDataKey ${var.kms_key_arn} sqs.*.amazonaws.com"]
    error_message = "Scheduler may use the key through SQS alone"
  }
}

run "in_china" {
  command = plan

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = aws_scheduler_schedule.start["hourly"].target[0].arn == "arn:aws-cn:scheduler:::aws-sdk:sqs:sendMessage"
    error_message = "ARNs are those of the partition"
  }
}
