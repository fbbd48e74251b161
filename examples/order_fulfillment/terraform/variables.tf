variable "package" {
  description = "Path of the zip with the steps of this example and their manifest."
  type        = string
}

variable "layer_zip" {
  description = "Path of the engine's layer zip, as `make layer` builds it."
  type        = string
}

variable "name" {
  description = "Name of the deployment."
  type        = string
  default     = "orders"
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
}

variable "tracing" {
  description = "Traces in AWS X-Ray: \"Active\" records the runs that are sampled, \"PassThrough\" none."
  type        = string
  default     = "PassThrough"
}

variable "endpoint" {
  description = "Address of an AWS emulator, such as http://127.0.0.1:4566. Null is AWS itself."
  type        = string
  default     = null

  validation {
    condition     = var.endpoint == null || can(regex("^https?://[^/]+$", var.endpoint))
    error_message = "endpoint must be an address without a path, such as http://127.0.0.1:4566, or null for AWS itself."
  }
}

variable "park_after" {
  description = "Seconds for which the worker must have been unable to go on with a run before it parks it."
  type        = number
  default     = 300
}
