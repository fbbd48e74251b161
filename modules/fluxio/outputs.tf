output "table_name" {
  description = "Name of the table that holds the runs."
  value       = local.worker_environment.FLUXIO_TABLE_NAME
}

output "table_arn" {
  description = "ARN of the table that holds the runs."
  value       = local.made.table_arn
}

output "queue_url" {
  description = "URL of the queue of nudges."
  value       = local.made.queue_url
}

output "queue_arn" {
  description = "ARN of the queue of nudges."
  value       = local.made.queue_arn
}

output "dlq_url" {
  description = "URL of the dead-letter queue: nudges that were received ten times in vain."
  value       = local.made.dlq_url
}

output "dlq_arn" {
  description = "ARN of the dead-letter queue."
  value       = local.made.dlq_arn
}

output "worker_function_name" {
  description = "Name of the worker's Lambda function."
  value       = coalesce(one(aws_lambda_function.worker[*].function_name), local.worker.name)
}

output "worker_function_arn" {
  description = "ARN of the worker's Lambda function, without a version or alias."
  value       = coalesce(one(aws_lambda_function.worker[*].arn), local.worker.arn)
}

output "worker_alias_arn" {
  description = "ARN of the alias `live`, which queue and schedule call; of a function of your own, that of the alias that came with it, or null."
  value       = local.worker.alias == null ? null : local.called_arn
}

output "worker_role_name" {
  description = "Name of the worker's role. What the steps need comes from `policy_statements` or from a policy that you attach: by itself the module grants only what the engine needs."
  value       = local.role.name
}

output "worker_role_arn" {
  description = "ARN of the worker's role, for policies of what the steps call."
  value       = local.role.arn
}

output "worker_environment" {
  description = "Environment variables that the engine needs: merge them into those of a function of your own (`existing_function`)."
  value       = local.worker_environment
}

output "worker_policy_json" {
  description = "IAM policy of the worker: attach it to a role of your own (`existing.role`, or that of `existing_function`)."
  value       = data.aws_iam_policy_document.worker.json
}

output "layer_arn" {
  description = "ARN of the layer version that the worker uses, with its version number; null with a function of your own."
  value       = one(module.layer[*].layer_arn)
}

output "layer_parameter" {
  description = "Name of the SSM parameter that holds the layer version's ARN; null without `layer_parameter`."
  value       = one(module.layer[*].parameter_name)
}

output "client_policy_json" {
  description = "IAM policy for a service that starts, reads and steers runs. Attach it to that service's role."
  value       = data.aws_iam_policy_document.client.json
}

output "operator_policy_json" {
  description = "IAM policy for whoever looks after the runs with the command `fluxio`: that of a client, and what `list`, `dlq`, `cost` and `doctor` need."
  value       = data.aws_iam_policy_document.operator.json
}

output "client_environment" {
  description = "Environment variables that a client needs: FLUXIO_TABLE_NAME, FLUXIO_QUEUE_URL and FLUXIO_RETENTION_DAYS."
  value       = { for name in ["FLUXIO_TABLE_NAME", "FLUXIO_QUEUE_URL", "FLUXIO_RETENTION_DAYS"] : name => local.worker_environment[name] }
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

output "log_group_name" {
  description = "Name of the worker's log group."
  value       = coalesce(one(aws_cloudwatch_log_group.worker[*].name), local.worker.log_group)
}

output "schedule_arn" {
  description = "ARN of the schedule that asks for the sweep every minute."
  value       = aws_scheduler_schedule.sweep.arn
}

output "run_schedule_arns" {
  description = "ARNs of the schedules that start runs (`schedules`), by name."
  value       = { for name, schedule in aws_scheduler_schedule.start : name => schedule.arn }
}

output "run_events_pipe_arn" {
  description = "ARN of the pipe that tells of runs that have ended (`run_events`); null without it."
  value       = one(aws_pipes_pipe.run_events[*].arn)
}

output "module_version" {
  description = "Version of fluxio that this module belongs to."
  value       = local.version
}
