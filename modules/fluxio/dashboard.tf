# One page, from what people notice down to what it costs: alarms, runs, steps, queue, worker, table, cost.
#
# What depends on workflows and steps is found by SEARCH, so that a new one shows up by itself. CloudWatch draws at most 500
# time series in a graph and 2,500 on a dashboard; beyond some 300 steps the graphs by step are no longer complete.

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.names.dashboard

  dashboard_body = jsonencode({
    # Widgets of a row share its 24 columns; a row begins where those above it end.
    widgets = concat(
      [
        for arns in [local.alarm_arns] : {
          type       = "alarm"
          x          = 0
          y          = 0
          width      = 24
          height     = local.alarm_height
          properties = { title = "Alarms: the first is raised while any other is", alarms = arns }
        } if length(arns) > 0
      ],
      flatten([
        for i, row in local.rows : concat(
          [
            {
              type       = "text"
              x          = 0
              y          = local.alarm_height + i * local.row_height
              width      = 24
              height     = 1
              properties = { markdown = join(" · ", compact(["## ${row.title}", var.runbook_url == null ? "" : "[runbook](${var.runbook_url})"])) }
            }
          ],
          [
            for j, widget in row.widgets : {
              type   = "metric"
              x      = j * 24 / length(row.widgets)
              y      = local.alarm_height + i * local.row_height + 1
              width  = 24 / length(row.widgets)
              height = local.row_height - 1
              properties = merge(
                { region = local.aws.region, view = "timeSeries", period = 60, title = widget.title, metrics = widget.metrics },
                { for name, value in widget : name => value if !contains(["title", "metrics"], name) },
              )
            }
          ],
        )
      ]),
    )
  })
}

locals {
  alarm_arns   = [for name in concat([local.names.composite_alarm], values(local.alarm_names)) : "${local.arn_of.alarms}:${name}" if length(local.alarm_names) > 0]
  alarm_height = length(local.alarm_arns) > 0 ? 3 : 0
  row_height   = 7

  # What a search begins with: metrics of this worker, kept by workflow or by step.
  find = { for of, dimensions in { workflow = "worker,workflow", step = "worker,workflow,step" } : of => "{fluxio,${dimensions}} worker=\"${local.worker.name}\" MetricName" }

  rows = [
    {
      title = "Runs"
      widgets = [
        {
          title = "Runs: started and ended"
          metrics = [
            ["fluxio", "runs_started", "worker", local.worker.name, { stat = "Sum", label = "started" }],
            ["fluxio", "runs_succeeded", "worker", local.worker.name, { stat = "Sum", label = "succeeded" }],
            ["fluxio", "runs_failed", "worker", local.worker.name, { stat = "Sum", label = "failed", color = "#d62728" }],
          ]
        },
        {
          title = "Runs that need a person: failed, parked, stuck"
          metrics = [
            ["fluxio", "runs_failed", "worker", local.worker.name, { stat = "Sum", label = "failed", color = "#d62728" }],
            ["fluxio", "runs_parked", "worker", local.worker.name, { stat = "Sum", label = "parked" }],
            ["fluxio", "runs_stuck", "worker", local.worker.name, { stat = "Sum", label = "stuck, each about every 5 minutes" }],
          ]
        },
        {
          title  = "Failed runs by workflow"
          period = 300
          metrics = [
            [{ expression = "SEARCH('${local.find.workflow}=\"runs_failed\"', 'Sum', 300)", id = "failed", label = "$${PROP('Dim.workflow')}" }],
          ]
        },
      ]
    },
    {
      title = "How long it takes"
      widgets = [
        {
          title = "A run, from start to end (ms)"
          metrics = [
            for stat in ["p50", "p90", "p99"] : ["fluxio", "run_duration", "worker", local.worker.name, { stat = stat, label = stat }]
          ]
        },
        {
          title = "A nudge, from its sending to a worker (ms)"
          metrics = [
            for stat in ["p50", "p90", "p99"] : ["fluxio", "queue_delay", "worker", local.worker.name, { stat = stat, label = stat }]
          ]
        },
        {
          title  = "A run by workflow, p90 (ms)"
          period = 300
          metrics = [
            [{ expression = "SEARCH('${local.find.workflow}=\"run_duration\"', 'p90', 300)", id = "runs", label = "$${PROP('Dim.workflow')}" }],
          ]
        },
        {
          title  = "A step, p90 (ms)"
          period = 300
          metrics = [
            [{ expression = "SEARCH('${local.find.step}=\"step_duration\"', 'p90', 300)", id = "steps", label = "$${PROP('Dim.workflow')}.$${PROP('Dim.step')}" }],
          ]
        },
      ]
    },
    {
      title = "Steps that go wrong"
      widgets = [
        for metric, title in { step_failures = "Failed steps", step_retries = "Retries by step", step_timeouts = "Timeouts by step" } : {
          title                              = title
          period                             = 300
          metrics = [
            [{ expression = "SEARCH('${local.find.step}=\"${metric}\"', 'Sum', 300)", id = "steps", label = "$${PROP('Dim.workflow')}.$${PROP('Dim.step')}" }],
          ]
        }
      ]
    },
    {
      title = "Queue"
      widgets = [
        {
          title = "Nudges: how many wait, and the oldest one's age"
          metrics = [
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.queue.name, { stat = "Maximum", label = "waiting" }],
            ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.queue.name, { stat = "Maximum", label = "in flight or postponed" }],
            ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.queue.name, { stat = "Maximum", label = "age of the oldest (s)", yAxis = "right" }],
          ]
        },
        {
          title = "Nudges nobody could act on"
          metrics = [
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.dlq.name, { stat = "Maximum", label = "in the DLQ" }],
            ["fluxio", "messages_refused", "worker", local.worker.name, { stat = "Sum", label = "refused by the worker" }],
          ]
        },
        {
          title = "Sweeps, and what they found"
          metrics = [
            ["fluxio", "sweeps", "worker", local.worker.name, { stat = "Sum", label = "sweeps" }],
            ["fluxio", "sweep_finds", "worker", local.worker.name, { stat = "Sum", label = "runs that were due" }],
            ["fluxio", "sweep_lag", "worker", local.worker.name, { stat = "Maximum", label = "the latest, late by (ms)", yAxis = "right" }],
          ]
        },
      ]
    },
    {
      title = "Worker"
      widgets = [
        {
          title = "Invocations, errors, throttles"
          metrics = [
            ["AWS/Lambda", "Invocations", "FunctionName", local.worker.name, { stat = "Sum", label = "invocations" }],
            ["AWS/Lambda", "Errors", "FunctionName", local.worker.name, { stat = "Sum", label = "errors", yAxis = "right", color = "#d62728" }],
            ["AWS/Lambda", "Throttles", "FunctionName", local.worker.name, { stat = "Sum", label = "throttles", yAxis = "right" }],
          ]
        },
        {
          title = "Duration (ms)"
          metrics = [
            ["AWS/Lambda", "Duration", "FunctionName", local.worker.name, { stat = "p50", label = "p50" }],
            ["AWS/Lambda", "Duration", "FunctionName", local.worker.name, { stat = "p99", label = "p99" }],
            ["AWS/Lambda", "Duration", "FunctionName", local.worker.name, { stat = "Maximum", label = "longest" }],
          ]
          annotations = { horizontal = [{ value = local.timing.function_timeout * 1000, label = "timeout" }] }
        },
        {
          title = "At once"
          metrics = [
            ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", local.worker.name, { stat = "Maximum", label = "invocations at once" }],
          ]
        },
        {
          title = "Dead and late workers"
          metrics = [
            ["fluxio", "takeovers", "worker", local.worker.name, { stat = "Sum", label = "steps taken over" }],
            ["fluxio", "fenced_commits", "worker", local.worker.name, { stat = "Sum", label = "results that came too late" }],
          ]
        },
      ]
    },
    {
      title = "Table"
      widgets = [
        {
          title = "Write and read units a minute"
          metrics = concat(
            [
              ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", local.table.name, { stat = "Sum", label = "write, table" }],
              ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", local.table.name, { stat = "Sum", label = "read, table" }],
            ],
            [
              for index in keys(local.indexes) :
              ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", local.table.name, "GlobalSecondaryIndexName", index, { stat = "Sum", label = "write, ${index}" }]
            ],
          )
        },
        {
          title = "Throttled requests"
          metrics = concat(
            [
              for kind in ["Write", "Read"] :
              ["AWS/DynamoDB", "${kind}ThrottleEvents", "TableName", local.table.name, { stat = "Sum", label = "${lower(kind)}, table" }]
            ],
            [
              for pair in setproduct(["Write", "Read"], keys(local.indexes)) :
              ["AWS/DynamoDB", "${pair[0]}ThrottleEvents", "TableName", local.table.name, "GlobalSecondaryIndexName", pair[1], { stat = "Sum", label = "${lower(pair[0])}, ${pair[1]}" }]
            ],
          )
        },
        {
          title = "Latency of the table's answers (ms)"
          metrics = [
            for operation in ["GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem"] :
            ["AWS/DynamoDB", "SuccessfulRequestLatency", "TableName", local.table.name, "Operation", operation, { stat = "p99", label = "${operation}, p99" }]
          ]
        },
      ]
    },
    {
      title = "What it costs"
      widgets = [
        {
          title  = "Write and read units, table and indexes"
          period = 3600
          metrics = concat(
            [
              [{ expression = "SUM(FILL(METRICS('write'), 0))", id = "w", label = "write units" }],
              [{ expression = "SUM(FILL(METRICS('read'), 0))", id = "r", label = "read units" }],
            ],
            concat([
              for kind in ["Write", "Read"] : concat(
                [["AWS/DynamoDB", "Consumed${kind}CapacityUnits", "TableName", local.table.name, { stat = "Sum", id = "${lower(kind)}0", visible = false }]],
                [
                  for i, index in keys(local.indexes) :
                  ["AWS/DynamoDB", "Consumed${kind}CapacityUnits", "TableName", local.table.name, "GlobalSecondaryIndexName", index, { stat = "Sum", id = "${lower(kind)}${i + 1}", visible = false }]
                ],
              )
            ]...),
          )
        },
        {
          title  = "Messages"
          period = 3600
          metrics = [
            ["AWS/SQS", "NumberOfMessagesSent", "QueueName", local.queue.name, { stat = "Sum", label = "sent" }],
            ["AWS/SQS", "NumberOfMessagesReceived", "QueueName", local.queue.name, { stat = "Sum", label = "received" }],
            ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", local.queue.name, { stat = "Sum", label = "deleted" }],
            ["AWS/SQS", "NumberOfEmptyReceives", "QueueName", local.queue.name, { stat = "Sum", label = "empty receives of the poller" }],
          ]
        },
        {
          title  = "Invocations and GB-seconds"
          period = 3600
          metrics = [
            ["AWS/Lambda", "Invocations", "FunctionName", local.worker.name, { stat = "Sum", label = "invocations" }],
            [{ expression = "ms / 1000 * ${local.worker.memory / 1024}", id = "gbs", label = "GB-seconds", yAxis = "right" }],
            ["AWS/Lambda", "Duration", "FunctionName", local.worker.name, { stat = "Sum", id = "ms", visible = false }],
          ]
        },
        {
          title  = "Log"
          period = 3600
          metrics = [
            ["AWS/Logs", "IncomingBytes", "LogGroupName", local.worker.log_group, { stat = "Sum", label = "bytes" }],
          ]
        },
      ]
    },
  ]
}
