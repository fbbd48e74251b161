# One page: is anything waiting, is anything broken, what does the table bear.

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.names.dashboard

  dashboard_body = jsonencode({
    widgets = [
      for i, widget in local.widgets : {
        type   = "metric"
        x      = 12 * (i % 2)
        y      = 6 * floor(i / 2)
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = local.aws.region
          view    = "timeSeries"
          period  = 60
          metrics = widget.metrics
        }
      }
    ]
  })
}

locals {
  widgets = [
    {
      title = "Nudges: how many wait, and the oldest one's age"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.names.queue, { stat = "Maximum", label = "waiting" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.names.queue, { stat = "Maximum", label = "in flight or postponed" }],
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.names.queue, { stat = "Maximum", label = "age of the oldest (s)", yAxis = "right" }],
      ]
    },
    {
      title = "DLQ: nudges nobody could act on"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.names.dlq, { stat = "Maximum", label = "in the DLQ" }],
      ]
    },
    {
      title = "Worker: invocations, errors, throttles"
      metrics = [
        ["AWS/Lambda", "Invocations", "FunctionName", local.names.worker, { stat = "Sum", label = "invocations" }],
        ["AWS/Lambda", "Errors", "FunctionName", local.names.worker, { stat = "Sum", label = "errors", yAxis = "right" }],
        ["AWS/Lambda", "Throttles", "FunctionName", local.names.worker, { stat = "Sum", label = "throttles", yAxis = "right" }],
      ]
    },
    {
      title = "Worker: duration (ms) and concurrency"
      metrics = [
        ["AWS/Lambda", "Duration", "FunctionName", local.names.worker, { stat = "p50", label = "median" }],
        ["AWS/Lambda", "Duration", "FunctionName", local.names.worker, { stat = "Maximum", label = "longest" }],
        ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", local.names.worker, { stat = "Maximum", label = "at once", yAxis = "right" }],
      ]
    },
    {
      title = "Table: write and read units a minute"
      metrics = [
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", local.names.table, { stat = "Sum", label = "write units" }],
        ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", local.names.table, { stat = "Sum", label = "read units" }],
      ]
    },
    {
      title = "Table: throttled requests"
      metrics = [
        ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", local.names.table, { stat = "Sum", label = "writes" }],
        ["AWS/DynamoDB", "ReadThrottleEvents", "TableName", local.names.table, { stat = "Sum", label = "reads" }],
      ]
    },
  ]
}
