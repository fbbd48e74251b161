# What wakes somebody up. Each description says what the alarm means and what to do first: it is what the person on call
# reads at night.

locals {
  alarms = {
    dlq_not_empty = {
      metric  = "ApproximateNumberOfMessagesVisible"
      of      = { QueueName = local.names.dlq }
      stat    = "Maximum"
      over    = 0
      minutes = 1
      out_of  = 1
      means   = "A nudge was received ${local.receives_until_dlq} times in vain and now lies in ${local.names.dlq}. Its run is not lost: the sweep nudges it again."
      first   = "Read the message in the DLQ, look for its run id in the log ${local.names.log_group}, mend the cause, then call `client.redrive_dead_letters(dlq_url)`, which nudges the runs again and empties the DLQ."
    }

    oldest_nudge = {
      metric  = "ApproximateAgeOfOldestMessage"
      of      = { QueueName = local.names.queue }
      stat    = "Maximum"
      over    = local.timing.oldest_nudge_alarms
      minutes = 5
      out_of  = 5
      means   = "A nudge has waited for more than ${local.timing.oldest_nudge_alarms} s: runs stand still, or a step is retried again and again."
      first   = "Look at the worker's throttles and errors on the dashboard ${local.names.dashboard}. If both are at zero, a run with a long backoff is the cause, and no harm is done."
    }

    worker_errors = {
      metric  = "Errors"
      of      = { FunctionName = local.names.worker }
      stat    = "Sum"
      over    = 0
      minutes = 3
      out_of  = 5
      means   = "The worker itself breaks (import error, timeout, out of memory) in 3 of 5 minutes. A step that merely fails does not count here."
      first   = "Read the last error in the log ${local.names.log_group}. After a deployment: roll the package back; runs go on where they stood."
    }

    worker_throttles = {
      metric  = "Throttles"
      of      = { FunctionName = local.names.worker }
      stat    = "Sum"
      over    = 0
      minutes = 3
      out_of  = 5
      means   = "Lambda refuses to start the worker in 3 of 5 minutes: runs are late, none is lost."
      first   = "Compare the account's concurrent executions with its quota; ask for more, or slow down whoever starts the runs."
    }

    # The worker counts these two itself, in the embedded metric format of its log.
    runs_parked = {
      metric  = "runs_parked"
      of      = { worker = local.names.worker }
      stat    = "Sum"
      over    = 0
      minutes = 1
      out_of  = 1
      means   = "A run was parked (status WAITING): the deployed package cannot go on with it, because a step, a workflow's module or its class is missing, or a timeout does not fit. It waits, nothing is lost."
      first   = "Read the run's error (`client.get(run_id).error`; its id is in the log ${local.names.log_group}, message \"run parked\"), deploy what is missing, then `client.redrive(run_id)`."
    }

    # Where fewer than one in a minute would do, no data at all does too.
    sweep_silent = {
      metric  = "sweeps"
      of      = { worker = local.names.worker }
      stat    = "Sum"
      under   = 1
      minutes = 5
      out_of  = 5
      means   = "The worker has not finished a sweep for 5 minutes although the schedule asks for one every minute: timers do not fire and lost nudges stay lost. Expected for a few minutes after the first apply."
      first   = "See whether the schedule ${local.names.schedule} is enabled and its role ${local.names.schedule} may invoke the worker; `terraform plan` shows what was changed by hand."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description = "${each.value.means} First: ${each.value.first}"
  alarm_actions     = var.alarm_actions
  ok_actions        = var.alarm_actions
  tags              = var.tags

  namespace   = lookup({ QueueName = "AWS/SQS", FunctionName = "AWS/Lambda" }, one(keys(each.value.of)), "fluxio")
  metric_name = each.value.metric
  dimensions  = each.value.of
  statistic   = each.value.stat
  period      = 60

  comparison_operator = can(each.value.over) ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = try(each.value.over, each.value.under)
  datapoints_to_alarm = each.value.minutes
  evaluation_periods  = each.value.out_of
  treat_missing_data  = can(each.value.over) ? "notBreaching" : "breaching"
}
