# Who comes by the clock: the sweep, and the schedules that start runs.

# The sweep: once a minute the worker looks for runs whose time has come (timers, lost nudges, nudges in the DLQ).

resource "aws_scheduler_schedule" "sweep" {
  #checkov:skip=CKV_AWS_297:all it holds is {"fluxio": "sweep"}, which is no secret
  name                = local.names.schedule
  description         = "Asks the fluxio worker to nudge the runs that are due"
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.called_arn
    role_arn = aws_iam_role.schedule.arn
    input    = jsonencode({ fluxio = "sweep" })

    # The next minute brings the next one.
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
  }

  depends_on = [aws_iam_role_policy.schedule]
}

# Runs that start by the clock. A schedule sends the worker a message, as a client does, rather than invoking it: so a start that
# fails is tried again, lies in the DLQ at worst, and is lost nowhere. The run's id is the time it was scheduled for, which is
# the same however often Scheduler or SQS deliver it, and an id is taken once.

locals {
  # Scheduler puts the time in place of this. Terraform writes the brackets as escapes, which Scheduler does not know.
  scheduled_time = "<aws.scheduler.scheduled-time>"
  escaped_time   = "\\u003caws.scheduler.scheduled-time\\u003e"

  start_messages = {
    for name, schedule in var.schedules : name => replace(jsonencode({
      run_id   = "${name}-${local.scheduled_time}"
      workflow = schedule.workflow
      input    = jsondecode(schedule.input)
    }), local.escaped_time, local.scheduled_time)
  }
}

resource "aws_scheduler_schedule" "start" {
  #checkov:skip=CKV_AWS_297:an input is no place for secrets, as it stands in the plan and the state; Scheduler encrypts it with a key that AWS owns
  for_each = var.schedules

  name                         = "${var.name}-${each.key}"
  description                  = "Starts a run of the workflow ${each.value.workflow} of the fluxio deployment ${var.name}"
  state                        = each.value.enabled ? "ENABLED" : "DISABLED"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = each.value.timezone

  flexible_time_window {
    mode = "OFF"
  }

  # The target that Scheduler has for queues knows no deduplication id, without which this queue takes no message.
  target {
    arn      = "arn:${local.aws.partition}:scheduler:::aws-sdk:sqs:sendMessage"
    role_arn = aws_iam_role.schedule.arn

    input = replace(jsonencode({
      QueueUrl               = local.made.queue_url
      MessageBody            = local.start_messages[each.key]
      MessageGroupId         = "${each.key}-${local.scheduled_time}"
      MessageDeduplicationId = "${each.key}-${local.scheduled_time}"
    }), local.escaped_time, local.scheduled_time)

    # As long as Scheduler tries at all: a day.
    retry_policy {
      maximum_retry_attempts       = 185
      maximum_event_age_in_seconds = 86400
    }
  }

  # The worker that a message comes to must know what it is.
  depends_on = [aws_iam_role_policy.schedule, aws_lambda_event_source_mapping.nudges]
}
