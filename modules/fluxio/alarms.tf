# What wakes somebody up. Each description says what the alarm means, what to do first, and where the runbook goes on: it
# is what the person on call reads at night. CloudWatch takes 1,024 characters of it.

locals {
  # Metrics of fluxio's own are those that the worker writes (docs/metrics.md).
  #
  # `missing` is what CloudWatch makes of minutes without data:
  #   notBreaching  whoever counts says nothing where there is nothing to count: no data is good news
  #   breaching     no data is the very thing the alarm is about
  #   ignore        no data says nothing: what was true stays true
  alarms = {
    dlq_not_empty = {
      metric  = "ApproximateNumberOfMessagesVisible"
      of      = { QueueName = local.dlq.name }
      stat    = "Maximum"
      over    = var.alarms.dlq_not_empty.threshold
      minutes = 1
      out_of  = 1
      # SQS stops reporting on a queue that nobody has touched for six hours, although its messages are still there. The price:
      # where they expire in it (after 14 days) and nobody looks in, the alarm stays raised until the queue is asked again.
      missing = "ignore"
      means   = "A nudge was received ${local.receives_until_dlq} times in vain and now lies in ${local.dlq.name}. Its run is not lost: the sweep nudges it again."
      first   = "`fluxio dlq list` names the runs, `fluxio show RUN` and the log ${local.worker.log_group} say why. Mend the cause, then `fluxio dlq redrive` nudges them again and empties the DLQ."
    }

    oldest_nudge = {
      metric  = "ApproximateAgeOfOldestMessage"
      of      = { QueueName = local.queue.name }
      stat    = "Maximum"
      over    = local.timing.oldest_nudge_alarms
      minutes = 5
      out_of  = 5
      missing = "notBreaching" # an empty queue has no oldest message
      means   = "A nudge has waited for more than ${local.timing.oldest_nudge_alarms} s: runs stand still."
      first   = "`fluxio doctor` says whether queue and worker are connected; look at the worker's throttles and errors on the dashboard ${local.names.dashboard}, and whether it runs as many at once as it may."
    }

    worker_errors = {
      metric  = "Errors"
      of      = { FunctionName = local.worker.name }
      stat    = "Sum"
      over    = var.alarms.worker_errors.threshold
      minutes = 3
      out_of  = 5
      missing = "notBreaching" # a worker that nobody invokes does not fail
      means   = "The worker itself breaks (import error, timeout, out of memory) in 3 of 5 minutes. A step that merely fails does not count here."
      first   = "Read the last error in the log ${local.worker.log_group}, then `fluxio doctor`. After a deployment: move the alias ${coalesce(local.worker.alias, "of yours")} back to the version before; runs go on where they stood."
    }

    worker_throttles = {
      metric  = "Throttles"
      of      = { FunctionName = local.worker.name }
      stat    = "Sum"
      over    = var.alarms.worker_throttles.threshold
      minutes = 3
      out_of  = 5
      missing = "notBreaching"
      means   = "Lambda refuses to start the worker in 3 of 5 minutes: runs are late, none is lost."
      first   = "Compare the account's concurrent executions with its quota (`aws lambda get-account-settings`); ask for more, or slow down whoever starts the runs."
    }

    worker_duration = {
      metric  = "Duration"
      of      = { FunctionName = local.worker.name }
      stat    = "Maximum"
      over    = local.timing.function_timeout * 1000 * var.alarms.worker_duration.threshold / 100
      minutes = 3
      out_of  = 15
      missing = "notBreaching"
      means   = "In 3 of 15 minutes an invocation took more than ${var.alarms.worker_duration.threshold} % of the worker's timeout (${local.timing.function_timeout} s). One that overruns it is killed; its steps wait for their lease and run again."
      first   = "See on the dashboard ${local.names.dashboard} which step takes long, and `fluxio timeline RUN` of one of its runs. Make the step do less, set its `timeout`, or raise the module's `timeout`."
    }

    runs_failed = {
      metric  = "runs_failed"
      of      = { worker = local.worker.name }
      stat    = "Sum"
      period  = 300
      over    = var.alarms.runs_failed.threshold
      minutes = 1
      out_of  = 1
      missing = "notBreaching" # the worker writes a count only where there is one; so for those below
      means   = "More than ${var.alarms.runs_failed.threshold} runs failed within 5 minutes. They stand where they failed; what their other steps did is kept."
      first   = "`fluxio list WORKFLOW --failed` names them, `fluxio show RUN` says which step failed and why. Mend the cause, then `fluxio redrive RUN` goes on from that step."
    }

    runs_parked = {
      metric  = "runs_parked"
      of      = { worker = local.worker.name }
      stat    = "Sum"
      over    = var.alarms.runs_parked.threshold
      minutes = 1
      out_of  = 1
      missing = "notBreaching"
      means   = "A run was parked (status WAITING): the deployed package cannot go on with it, because a step, a workflow's module or its class is missing, or a timeout does not fit. It waits, nothing is lost."
      first   = "`fluxio show RUN` says what is missing (the run's id is in the log ${local.worker.log_group}, message \"run parked\"). Deploy it, then `fluxio redrive RUN`."
    }

    # A stuck run is found and counted about every five minutes. Twice, because a run that was redriven or signalled a moment
    # ago may look like one that was left alone.
    runs_stuck = {
      metric  = "runs_stuck"
      of      = { worker = local.worker.name }
      stat    = "Sum"
      over    = var.alarms.runs_stuck.threshold
      minutes = 2
      out_of  = 15
      missing = "notBreaching"
      means   = "For a quarter of an hour nobody has taken up what there is to do for a run. The sweep nudges it, and the nudges come to nothing."
      first   = "`fluxio doctor` says whether queue, worker and permissions are as they should be. `fluxio show RUN` shows where the run stands (its id is in the log ${local.worker.log_group}, message \"run stuck\")."
    }

    sweep_silent = {
      metric  = "sweeps"
      of      = { worker = local.worker.name }
      stat    = "Sum"
      under   = 1
      minutes = var.alarms.sweep_silent.threshold
      out_of  = var.alarms.sweep_silent.threshold
      missing = "breaching" # a sweep that does not run cannot say so
      means   = "The worker has not finished a sweep for ${var.alarms.sweep_silent.threshold} minutes although the schedule asks for one every minute: timers do not fire and lost nudges stay lost. Expected for a few minutes after the first apply."
      first   = "`fluxio doctor` says whether the schedule ${local.names.schedule} is enabled and may invoke the worker; `terraform plan` shows what was changed by hand."
    }

    # The reads and writes of the table and of each index, added up.
    table_throttled = {
      sum_of = {
        for pair in setproduct(["ReadThrottleEvents", "WriteThrottleEvents"], ["", "by_workflow", "due", "failed"]) :
        lower("${substr(pair[0], 0, 1)}_${pair[1] == "" ? "table" : pair[1]}") => {
          metric = pair[0]
          of     = merge({ TableName = local.table.name }, pair[1] == "" ? {} : { GlobalSecondaryIndexName = pair[1] })
        }
      }
      over    = var.alarms.table_throttled.threshold
      minutes = 3
      out_of  = 5
      missing = "notBreaching" # DynamoDB reports throttles only where there are some
      means   = "DynamoDB refuses reads or writes of ${local.table.name} or its indexes in 3 of 5 minutes. They are tried again and runs are late; none is lost."
      first   = "See on the dashboard ${local.names.dashboard} whether one index or the whole table is meant; `fluxio list WORKFLOW` shows how fast runs are started. A table that has just been made, or has to do by leaps more than before, catches up by itself; otherwise slow down whoever starts the runs."
    }
  }

  # Where to read on. The release's zip has the page inside, for those who have no address to give.
  runbook    = var.runbook_url == null ? "docs/operations.md in the module's release" : var.runbook_url
  runbook_of = { for name in keys(local.alarms) : name => var.runbook_url == null ? "${local.runbook}, section ${name}" : "${local.runbook}#${name}" }

  alarms_on   = { for name, alarm in local.alarms : name => alarm if var.alarms[name].enabled }
  alarm_names = { for name in keys(local.alarms_on) : name => "${var.name}-${replace(name, "_", "-")}" }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms_on

  alarm_name        = local.alarm_names[each.key]
  alarm_description = "${each.value.means} First: ${each.value.first} More: ${local.runbook_of[each.key]}."
  alarm_actions     = var.alarm_actions
  ok_actions        = var.alarm_actions
  tags              = var.tags

  # Either one metric, or the sum of several.
  namespace   = can(each.value.of) ? lookup({ QueueName = "AWS/SQS", FunctionName = "AWS/Lambda" }, one(keys(each.value.of)), "fluxio") : null
  metric_name = try(each.value.metric, null)
  dimensions  = try(each.value.of, null)
  statistic   = try(each.value.stat, null)
  period      = can(each.value.of) ? try(each.value.period, 60) : null

  dynamic "metric_query" {
    for_each = try(each.value.sum_of, {})

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/DynamoDB"
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.of
        stat        = "Sum"
        period      = 60
      }
    }
  }

  dynamic "metric_query" {
    for_each = can(each.value.sum_of) ? ["SUM(FILL(METRICS(), 0))"] : []

    content {
      id          = "all"
      label       = "all together"
      expression  = metric_query.value
      return_data = true
    }
  }

  comparison_operator = can(each.value.over) ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = try(each.value.over, each.value.under)
  datapoints_to_alarm = each.value.minutes
  evaluation_periods  = each.value.out_of
  treat_missing_data  = each.value.missing

  # CloudWatch refuses to delete an alarm that a composite one names. So: the composite one is changed first.
  lifecycle {
    create_before_destroy = true
  }
}

# One thing to subscribe a pager to: any of the above.
resource "aws_cloudwatch_composite_alarm" "needs_a_person" {
  count = length(local.alarms_on) > 0 ? 1 : 0

  alarm_name        = local.names.composite_alarm
  alarm_description = "fluxio needs a person: at least one alarm of ${var.name} is raised. First: see on the dashboard ${local.names.dashboard} which one, and read its description. More: ${local.runbook}."
  alarm_rule        = join(" OR ", [for alarm in aws_cloudwatch_metric_alarm.this : "ALARM(\"${alarm.alarm_name}\")"])
  alarm_actions     = var.composite_alarm_actions
  ok_actions        = var.composite_alarm_actions
  tags              = var.tags
}
