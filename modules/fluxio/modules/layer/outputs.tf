output "layer_arn" {
  description = "ARN of the layer version, with its version number: for `layers` of a function."
  value       = local.layer_arn
}

output "parameter_name" {
  description = "Name of the SSM parameter that holds the layer version's ARN; null without `parameter_name`."
  value       = one(aws_ssm_parameter.layer_arn[*].name)
}

output "version" {
  description = "Version of fluxio that this module belongs to, and with it the engine in a layer that it makes."
  value       = local.version
}
