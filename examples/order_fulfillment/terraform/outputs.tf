output "table_name" {
  description = "Name of the table that holds the runs."
  value       = module.fluxio.table_name
}

output "queue_url" {
  description = "URL of the queue of nudges."
  value       = module.fluxio.queue_url
}

output "dlq_url" {
  description = "URL of the dead-letter queue."
  value       = module.fluxio.dlq_url
}

output "worker_function_name" {
  description = "Name of the worker's Lambda function."
  value       = module.fluxio.worker_function_name
}

output "client_policy_json" {
  description = "IAM policy for a service that starts, reads and steers runs."
  value       = module.fluxio.client_policy_json
}

output "alarm_arns" {
  description = "ARNs of the alarms by short name."
  value       = module.fluxio.alarm_arns
}

output "client_environment" {
  description = "Environment variables that a client and the command `fluxio` need."
  value       = module.fluxio.client_environment
}

output "operator_policy_json" {
  description = "IAM policy for whoever looks after the runs with the command `fluxio`."
  value       = module.fluxio.operator_policy_json
}
