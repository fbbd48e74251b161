variable "name" {
  description = "Name of the layer."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "name must have 1 to 64 characters (letters, digits, _ -)."
  }
}

variable "architecture" {
  description = "Processor of the functions that use the layer: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be \"x86_64\" or \"arm64\" (AWS's name for aarch64)."
  }
}

variable "runtimes" {
  description = "Pythons that the layer is offered to in the console; any function can use it. It holds builds for python3.10, python3.11, python3.12, python3.13 and python3.14. python3.14 is not in the default, since the AWS provider knows it from version 6 on: 5.100 refuses it."
  type        = list(string)
  default     = ["python3.10", "python3.11", "python3.12", "python3.13"]
  nullable    = false

  validation {
    condition     = length(var.runtimes) >= 1 && length(setsubtract(var.runtimes, ["python3.10", "python3.11", "python3.12", "python3.13", "python3.14"])) == 0
    error_message = "runtimes must name at least one of python3.10, python3.11, python3.12, python3.13 and python3.14, and no other: the layer holds builds for these five. python3.14 needs version 6 of the AWS provider."
  }
}

variable "layer_zip" {
  description = "Path of the engine's layer zip (`fluxio-layer-<version>-<architecture>.zip`). Null: the one inside the release that this module belongs to."
  type        = string
  default     = null

  validation {
    condition     = var.layer_zip == null || (endswith(lower(coalesce(var.layer_zip, "-")), ".zip") && try(fileexists(coalesce(var.layer_zip, "-")), false))
    error_message = "layer_zip must be the path of a .zip file that exists when Terraform plans. Build it with `make layer`, which puts it into layer/dist, or leave it out where the module comes from a release."
  }
}

variable "layer_s3" {
  description = "The same zip in a bucket of this Region, as `{ bucket, key, version }`. Without `version` Terraform does not see that the object has changed: give each version a key of its own."
  type = object({
    bucket  = string
    key     = string
    version = optional(string)
  })
  default = null

  validation {
    condition = var.layer_s3 == null || (
      can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.layer_s3.bucket)) && try(length(var.layer_s3.key) <= 1024 && endswith(lower(var.layer_s3.key), ".zip"), false) && try(var.layer_s3.version != "", true)
    )
    error_message = "layer_s3 needs a bucket (its name: 3 to 63 lower-case letters, digits, dots and hyphens; not an ARN or s3:// address) and the key of a .zip in it: layer_s3 = { bucket = \"my-artifacts\", key = \"fluxio-layer-<version>-x86_64.zip\", version = \"…\" }."
  }
}

variable "layer_arn" {
  description = "ARN of a layer version that is published already: nothing is made then, only its version is checked. At most one of `layer_zip`, `layer_s3` and `layer_arn`."
  type        = string
  default     = null

  validation {
    condition     = var.layer_arn == null || can(regex("^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+$", var.layer_arn))
    error_message = "layer_arn must be the ARN of one version of a layer: arn:aws:lambda:<region>:<account>:layer:<name>:<version>. Is the version number at the end missing?"
  }
}

variable "parameter_name" {
  description = "Name of a parameter in SSM's Parameter Store that is to hold the layer version's ARN, such as \"/fluxio/layer\": other stacks read it there. Null: none is made."
  type        = string
  default     = null

  validation {
    condition = var.parameter_name == null || (
      can(regex("^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}$", var.parameter_name)) && length(coalesce(var.parameter_name, "-")) <= 900 && !can(regex("^/?(aws|ssm)", lower(coalesce(var.parameter_name, "-")))) &&
      (startswith(coalesce(var.parameter_name, "-"), "/") || !strcontains(coalesce(var.parameter_name, "-"), "/"))
    )
    error_message = "parameter_name must be a name that Parameter Store takes: letters, digits, _ . -, at most 900 characters; with / between at most 15 parts it begins with /, and in no case with aws or ssm. Such as \"/fluxio/orders/layer\"."
  }
}

variable "tags" {
  description = "Tags for the parameter; layer versions take none."
  type        = map(string)
  default     = {}
  nullable    = false
}
