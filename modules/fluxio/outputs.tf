output "table_name" {
  description = "Name of the table that holds the runs."
  value       = aws_dynamodb_table.runs.name
}

output "table_arn" {
  description = "ARN of the table that holds the runs."
  value       = aws_dynamodb_table.runs.arn
}

output "queue_url" {
  description = "URL of the queue of nudges."
  value       = aws_sqs_queue.nudges.url
}

output "queue_arn" {
  description = "ARN of the queue of nudges."
  value       = aws_sqs_queue.nudges.arn
}

output "dlq_url" {
  description = "URL of the dead-letter queue: nudges that were received ten times in vain."
  value       = aws_sqs_queue.dlq.url
}

output "dlq_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dlq.arn
}

output "worker_function_name" {
  description = "Name of the worker's Lambda function."
  value       = aws_lambda_function.worker.function_name
}

output "worker_role_name" {
  description = "Name of the worker's role. Attach to it what the steps need: the module grants only what the engine needs."
  value       = aws_iam_role.worker.name
}

output "layer_arn" {
  description = "ARN of the layer version that the worker uses, with its version number."
  value       = local.layer_arn
}

output "client_policy_json" {
  description = "IAM policy for a service that starts, reads and steers runs. Attach it to that service's role."
  value       = data.aws_iam_policy_document.client.json
}

output "client_environment" {
  description = "Environment variables that a client needs: FLUXIO_TABLE_NAME and FLUXIO_QUEUE_URL."
  value = {
    FLUXIO_TABLE_NAME = aws_dynamodb_table.runs.name
    FLUXIO_QUEUE_URL  = aws_sqs_queue.nudges.url
  }
}

output "alarm_arns" {
  description = "ARNs of the alarms that are on, by short name: dlq_not_empty, oldest_nudge, runs_failed, runs_parked, runs_stuck, sweep_silent, table_throttled, worker_duration, worker_errors, worker_throttles."
  value       = { for short_name, alarm in aws_cloudwatch_metric_alarm.this : short_name => alarm.arn }
}

output "composite_alarm_arn" {
  description = "ARN of the alarm \"fluxio needs a person\", raised while any other alarm is; null if all are off."
  value       = one(aws_cloudwatch_composite_alarm.needs_a_person[*].arn)
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
