variable "name" {
  description = "Name of the deployment, as the fluxio module has it."
  type        = string
  nullable    = false
}
