variable "name" {
  description = "Name of the deployment, as the module's input of the same name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", var.name))
    error_message = "name must be that of the deployment: 2 to 40 characters (a-z, 0-9, hyphen), beginning with a letter and ending with a letter or digit."
  }
}

variable "role_path" {
  description = "IAM path of the roles, as the module's input of the same name."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([!-~]+/)?$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must be \"/\" or begin and end with a slash, such as \"/service/\", at most 512 characters."
  }
}

variable "provisioned" {
  description = "Whether `billing.mode` is PROVISIONED, or is to be."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key, as the module's input of the same name."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[^:]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>), not an alias."
  }
}

variable "layer_parameter" {
  description = "Name of the SSM parameter, as the module's input of the same name."
  type        = string
  default     = null

  validation {
    condition     = var.layer_parameter == null || can(regex("^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}$", var.layer_parameter))
    error_message = "layer_parameter must be a name that Parameter Store takes, such as \"/fluxio/orders/layer\"."
  }
}

variable "layers" {
  description = "ARNs of layer versions besides the engine's, as the module's input of the same name; a published engine's (`layer_arn`), too."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for layer in var.layers : can(regex("^arn:[^:]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:([0-9]+|[*])$", layer))])
    error_message = "layers: each must be the ARN of a layer version, or of all of them: arn:aws:lambda:<region>:<account>:layer:<name>:<version, or *>."
  }
}

variable "objects" {
  description = "Where package and layer lie in S3, as `<bucket>/<key>`, if the module is given `package_s3` or `layer_s3`. `*` stands for a part of the key: \"artifacts/orders/*.zip\"."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for object in var.objects : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$", object))])
    error_message = "objects: each must be <bucket>/<key>, such as \"artifacts/orders.zip\" or \"artifacts/orders/*\", without s3://."
  }
}
