# Alarms, dashboard, log and saved queries. Offline: nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  name       = "orders"
  package_s3 = { bucket = "artifacts", key = "orders.zip", version = "1" }
  layer_arn  = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
}

run "by_default" {
  command = plan

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "dlq_not_empty", "oldest_nudge", "runs_failed", "runs_parked", "runs_stuck", "sweep_silent", "table_throttled",
      "worker_duration", "worker_errors", "worker_throttles",
    ])
    error_message = "these ten alarms are on, and no other"
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.treat_missing_data if alarm.treat_missing_data != "notBreaching" } == {
      dlq_not_empty = "ignore"
      sweep_silent  = "breaching"
    }
    error_message = "no data is good news, but for a sweep that is silent, and leaves a DLQ as it was"
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => "${alarm.comparison_operator} ${alarm.threshold}, ${alarm.datapoints_to_alarm} of ${alarm.evaluation_periods}" } == {
      dlq_not_empty    = "GreaterThanThreshold 0, 1 of 1"
      oldest_nudge     = "GreaterThanThreshold 900, 5 of 5"
      runs_failed      = "GreaterThanThreshold 0, 1 of 1"
      runs_parked      = "GreaterThanThreshold 0, 1 of 1"
      runs_stuck       = "GreaterThanThreshold 0, 2 of 15"
      sweep_silent     = "LessThanThreshold 1, 5 of 5"
      table_throttled  = "GreaterThanThreshold 0, 3 of 5"
      worker_duration  = "GreaterThanThreshold 108000, 3 of 15"
      worker_errors    = "GreaterThanThreshold 0, 3 of 5"
      worker_throttles = "GreaterThanThreshold 0, 3 of 5"
    }
    error_message = "each alarm has its threshold"
  }

  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_metric_alarm.this :
      can(regex("First: .*`(fluxio|aws) .* More: docs/operations[.]md .*, section ${name}[.]$", alarm.alarm_description))
    ])
    error_message = "each alarm says what to do first, with which command, and which section of the runbook goes on from there"
  }

  assert {
    condition = toset([
      for query in aws_cloudwatch_metric_alarm.this["table_throttled"].metric_query : join(" ", sort(concat([one(query.metric).metric_name], values(one(query.metric).dimensions)))) if length(query.metric) > 0
      ]) == toset([
      "ReadThrottleEvents orders-runs", "ReadThrottleEvents by_workflow orders-runs", "ReadThrottleEvents due orders-runs", "ReadThrottleEvents failed orders-runs",
      "WriteThrottleEvents orders-runs", "WriteThrottleEvents by_workflow orders-runs", "WriteThrottleEvents due orders-runs", "WriteThrottleEvents failed orders-runs",
    ])
    error_message = "throttled reads and writes of the table and of each index count"
  }

  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.this["table_throttled"].metric_query : query.expression if query.return_data == true] == ["SUM(FILL(METRICS(), 0))"]
    error_message = "and it is their sum that is watched"
  }

  assert {
    condition = toset(split(" OR ", one(aws_cloudwatch_composite_alarm.needs_a_person).alarm_rule)) == toset([
      for alarm in aws_cloudwatch_metric_alarm.this : "ALARM(\"${alarm.alarm_name}\")"
    ])
    error_message = "a person is needed while any alarm is raised"
  }

  assert {
    condition     = length(one(aws_cloudwatch_composite_alarm.needs_a_person).alarm_actions) == 0
    error_message = "who hears of each alarm is not called twice"
  }

  assert {
    condition     = toset([for name in ["LEVEL", "PAYLOADS"] : aws_lambda_function.worker[0].environment[0].variables["FLUXIO_LOG_${name}"]]) == toset(["INFO", "0"])
    error_message = "the log tells what happens, and nothing of what runs work on"
  }

  assert {
    condition     = toset([for query in aws_cloudwatch_query_definition.this : query.name]) == toset(["orders/everything about run X", "orders/what failed in the last hours"])
    error_message = "two queries are saved"
  }

  assert {
    condition     = alltrue([for words in ["\"WARN\", \"WARNING\", \"ERROR\"", "log_level in", "ispresent(errorType)", "record.status in"] : strcontains(aws_cloudwatch_query_definition.this["what failed in the last hours"].query_string, words)])
    error_message = "what failed is told by the worker (level), by Lambda's runtime (log_level, errorType) and by Lambda itself (record.status)"
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_query_definition.this : query.log_group_names == tolist(["/aws/lambda/orders-worker"])])
    error_message = "they ask the worker's log"
  }
}

run "the_dashboard" {
  command = plan

  assert {
    condition     = toset([for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : w.type]) == toset(["alarm", "metric", "text"])
    error_message = "it shows the alarms' states, titles and metrics"
  }

  assert {
    condition     = length(one([for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : w.properties.alarms if w.type == "alarm"])) == 11
    error_message = "it shows the state of all ten alarms, and of the composite one"
  }

  assert {
    condition = [for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : w.properties.markdown if w.type == "text"] == [
      "## Runs", "## How long it takes", "## Steps that go wrong", "## Queue", "## Worker", "## Table", "## What it costs",
    ]
    error_message = "rows from what people notice down to what it costs"
  }

  # CloudWatch's grid has 24 columns.
  assert {
    condition = alltrue([
      for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      w.x >= 0 && w.x + w.width <= 24 && w.width >= 1 && w.height >= 1 && floor(w.x) == w.x && floor(w.width) == w.width
    ])
    error_message = "every widget is on the grid"
  }

  assert {
    condition = alltrue(flatten([
      for i, a in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for j, b in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
        a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y if i < j
      ]
    ]))
    error_message = "no widget covers another"
  }

  assert {
    condition     = sum([for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : length(w.properties.metrics) if w.type == "metric"]) > 50
    error_message = "a dashboard of up to 50 metrics is free, as docs/cost.md says this one is not"
  }

  # CloudWatch takes 2,500 metrics on a dashboard, and what a search finds is among them.
  assert {
    condition = (
      sum([for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : length(w.properties.metrics) if w.type == "metric"]) <= 100 &&
      length(regexall("SEARCH", aws_cloudwatch_dashboard.this.dashboard_body)) <= 8
    )
    error_message = "the dashboard leaves room for what the searches find"
  }
}

run "thresholds_and_alarms_of_ones_own" {
  command = plan

  variables {
    timeout = 60
    alarms = {
      oldest_nudge    = { threshold = 120 }
      runs_failed     = { threshold = 10 }
      sweep_silent    = { threshold = 15 }
      worker_duration = { threshold = 50 }
      table_throttled = { enabled = false }
      runs_parked     = null
    }
    composite_alarm_actions = ["arn:aws:sns:eu-west-1:123456789012:pager"]
    log_level               = "DEBUG"
    log_payloads            = true
    saved_queries           = false
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["oldest_nudge"].threshold == 120 &&
      aws_cloudwatch_metric_alarm.this["runs_failed"].threshold == 10 &&
      aws_cloudwatch_metric_alarm.this["runs_parked"].threshold == 0 &&
      aws_cloudwatch_metric_alarm.this["worker_duration"].threshold == 30000 &&
      aws_cloudwatch_metric_alarm.this["sweep_silent"].evaluation_periods == 15 &&
      strcontains(aws_cloudwatch_metric_alarm.this["sweep_silent"].alarm_description, "for 15 minutes")
    )
    error_message = "thresholds that are given are taken, and the others stay"
  }

  assert {
    condition     = !contains(keys(output.alarm_arns), "table_throttled") && length(output.alarm_arns) == 9
    error_message = "an alarm can be left out"
  }

  assert {
    condition = (
      !strcontains(one(aws_cloudwatch_composite_alarm.needs_a_person).alarm_rule, "table-throttled") &&
      !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "table-throttled")
    )
    error_message = "one that is left out is nowhere asked for"
  }

  assert {
    condition     = one(aws_cloudwatch_composite_alarm.needs_a_person).alarm_actions == toset(var.composite_alarm_actions)
    error_message = "the composite alarm has receivers of its own"
  }

  assert {
    condition     = [for name in ["LEVEL", "PAYLOADS"] : aws_lambda_function.worker[0].environment[0].variables["FLUXIO_LOG_${name}"]] == ["DEBUG", "1"] && aws_lambda_function.worker[0].logging_config[0].application_log_level == "DEBUG"
    error_message = "the log tells more where that was asked for, and Lambda lets it through"
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == 0
    error_message = "queries can be left out"
  }
}

run "with_a_runbook_where_people_can_read_it" {
  command = plan

  variables {
    runbook_url = "https://wiki.example.com/fluxio/operations"
  }

  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_metric_alarm.this : strcontains(alarm.alarm_description, "More: https://wiki.example.com/fluxio/operations#${name}.")
    ])
    error_message = "each alarm leads to its own section"
  }

  assert {
    condition = (
      strcontains(one(aws_cloudwatch_composite_alarm.needs_a_person).alarm_description, "More: https://wiki.example.com/fluxio/operations.") &&
      strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "[runbook](https://wiki.example.com/fluxio/operations)")
    )
    error_message = "and so do the composite alarm and the dashboard"
  }
}

run "without_any_alarm" {
  command = plan

  variables {
    alarms = {
      dlq_not_empty    = { enabled = false }
      oldest_nudge     = { enabled = false }
      runs_failed      = { enabled = false }
      runs_parked      = { enabled = false }
      runs_stuck       = { enabled = false }
      sweep_silent     = { enabled = false }
      table_throttled  = { enabled = false }
      worker_duration  = { enabled = false }
      worker_errors    = { enabled = false }
      worker_throttles = { enabled = false }
    }
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) + length(aws_cloudwatch_composite_alarm.needs_a_person) == 0 && output.composite_alarm_arn == null
    error_message = "without alarms nobody is needed"
  }

  assert {
    condition     = length([for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : w if w.type == "alarm"]) == 0
    error_message = "and the dashboard shows none"
  }
}

run "descriptions_fit_whatever_the_name" {
  command = plan

  variables {
    name        = "a234567890123456789012345678901234567890"
    timeout     = 870
    runbook_url = "https://${join("", [for i in range(200) : "a"])}"
    alarms      = { oldest_nudge = { threshold = 1209600 } }
  }

  assert {
    condition = alltrue([
      for text in concat([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_description], aws_cloudwatch_composite_alarm.needs_a_person[*].alarm_description) : length(text) <= 1024
    ])
    error_message = "CloudWatch takes 1,024 characters"
  }

  assert {
    condition     = length(one(aws_cloudwatch_composite_alarm.needs_a_person).alarm_rule) <= 10240
    error_message = "CloudWatch takes 10,240 characters of a rule"
  }
}
