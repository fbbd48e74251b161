# Put together, and not read as a whole: then Terraform knows before the layer is made that this is not null, and it can be
# another module's `layer_arn` in the same configuration.
output "layer_arn" {
  description = "ARN of the layer version, with its version number: for `layers` of a function."
  value       = var.layer_arn == null ? "${aws_lambda_layer_version.engine[0].layer_arn}:${aws_lambda_layer_version.engine[0].version}" : var.layer_arn
}

output "version" {
  description = "Version of fluxio that this module belongs to, and with it the engine in a layer that it makes."
  value       = local.version
}
