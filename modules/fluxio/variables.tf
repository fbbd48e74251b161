# ---- What it is called ----------------------------------------------------------------------------------------------

variable "name" {
  description = "Name of this deployment, and the prefix of everything in it: `orders` makes `orders-runs`, `orders-nudges.fifo`, `orders-worker` and so on."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", var.name))
    error_message = "name must have 2 to 40 characters (a-z, 0-9, hyphen), begin with a letter and end with a letter or digit, so that every name made from it fits AWS's limits (64 for functions and roles). Shorten it or write it in lower case."
  }
}

variable "tags" {
  description = "Tags for everything that takes tags."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags may hold at most 50 tags, and none whose key begins with \"aws:\": AWS keeps those for itself. Drop or rename them."
  }
}

# ---- What is already there ------------------------------------------------------------------------------------------

variable "existing" {
  description = "What the module does not make because you have it: `{ table, queue, dlq, role }`, each optional and each the resource or data source itself, `existing = { table = aws_dynamodb_table.mine }`, or an object with its `name`, `arn` and, of a queue, `url`. Nothing is looked up, so the module block needs no `depends_on`. A role of your own gets nothing attached: attach `worker_policy_json`."
  type = object({
    table = optional(object({
      name                   = string
      arn                    = string
      hash_key               = optional(string)
      range_key              = optional(string)
      attribute              = optional(set(object({ name = string, type = string })))
      global_secondary_index = optional(set(object({ name = string, hash_key = optional(string), range_key = optional(string) })))
      ttl                    = optional(list(object({ enabled = optional(bool), attribute_name = optional(string) })))
      stream_arn             = optional(string)
      stream_view_type       = optional(string)
    }))
    queue = optional(object({ name = string, arn = string, url = string, visibility_timeout_seconds = optional(number) }))
    dlq   = optional(object({ name = string, arn = string, url = string }))
    role  = optional(object({ name = string, arn = string }))
  })
  default  = {}
  nullable = false

  validation {
    condition = var.existing.table == null || (
      can(regex("^[A-Za-z0-9_.-]{3,255}$", try(var.existing.table.name, ""))) && can(regex("^arn:[^:]+:dynamodb:[^:]+:[0-9]{12}:table/[^/]+$", try(var.existing.table.arn, "")))
    )
    error_message = "existing.table needs the name of a table (3 to 255 letters, digits, _ . -) and its ARN: pass the whole resource, existing = { table = aws_dynamodb_table.<name> }."
  }

  validation {
    condition = alltrue([
      for queue in [var.existing.queue, var.existing.dlq] : queue == null || (
        can(regex("^[A-Za-z0-9_-]{1,75}[.]fifo$", try(queue.name, ""))) && can(regex("^arn:[^:]+:sqs:[^:]+:[0-9]{12}:[^:]+[.]fifo$", try(queue.arn, ""))) && can(regex("^https?://.+[.]fifo$", try(queue.url, "")))
      )
    ])
    error_message = "existing.queue and existing.dlq each need name, ARN and URL of a FIFO queue, all with the ending .fifo: pass the whole resources, existing = { queue = aws_sqs_queue.<name>, dlq = aws_sqs_queue.<name> }. A standard queue cannot hold nudges: make a FIFO queue."
  }

  validation {
    condition     = (var.existing.queue == null) == (var.existing.dlq == null) && try(var.existing.queue.name != var.existing.dlq.name, true)
    error_message = "existing.queue and existing.dlq come together and are two queues: a queue cannot be its own dead-letter queue. Give both, or neither."
  }

  validation {
    condition = var.existing.role == null || (
      can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", try(var.existing.role.name, ""))) && can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", try(var.existing.role.arn, "")))
    )
    error_message = "existing.role needs the name of an IAM role (at most 64 letters, digits, _ + = , . @ -, without its path) and its ARN: pass the whole resource, existing = { role = aws_iam_role.<name> }."
  }
}

variable "existing_function" {
  description = "Your own Lambda function as the worker, as the resource or data source that has it: `existing_function = aws_lambda_function.mine`. It needs the engine's layer (`//modules/layer`), `worker_environment`, a role with `worker_policy_json`, and the same `timeout`. The module adds mapping, schedule and loop guard, and makes no function, layer, role or log group. Queue and schedule call the function's newest code, or an alias of yours: `existing_function = merge(aws_lambda_function.mine, { alias = aws_lambda_alias.mine.name })`."
  type = object({
    function_name  = string
    timeout        = number
    arn            = optional(string)
    alias          = optional(string)
    role           = optional(string)
    memory_size    = optional(number, 128)
    layers         = optional(list(string), [])
    environment    = optional(list(object({ variables = map(string) })), [])
    logging_config = optional(list(object({ log_group = string, log_format = optional(string), application_log_level = optional(string) })), [])
  })
  default = null

  validation {
    condition     = var.existing_function == null || can(regex("^[A-Za-z0-9_-]{1,64}$", var.existing_function.function_name))
    error_message = "existing_function.function_name must be the name of a function in this account and region, at most 64 characters (letters, digits, _ -), not an ARN. Pass the whole resource: existing_function = aws_lambda_function.<name>."
  }
}

# ---- What it runs ---------------------------------------------------------------------------------------------------

variable "package" {
  description = "Path of the zip with the steps and their entry-point manifest. What counts is the zip's content: the same bytes at another path, as in another checkout, are no change. Exactly one of `package` and `package_s3`."
  type        = string
  default     = null

  validation {
    condition     = var.package == null || (endswith(lower(coalesce(var.package, "-")), ".zip") && try(fileexists(coalesce(var.package, "-")), false))
    error_message = "package must be the path of a .zip file that exists when Terraform plans. Build the zip first, and give its path from the root module (\"$${path.root}/…\")."
  }
}

variable "package_s3" {
  description = "The same zip in S3, as `{ bucket, key, version }`. Without `version` Terraform does not see that the object has changed. Exactly one of `package` and `package_s3`."
  type = object({
    bucket  = string
    key     = string
    version = optional(string)
  })
  default = null

  validation {
    condition     = var.package_s3 == null || (try(length(var.package_s3.bucket), 0) >= 3 && try(length(var.package_s3.key), 0) >= 1)
    error_message = "package_s3 needs a bucket (the name, at least 3 characters, not an ARN or s3:// address) and a key: package_s3 = { bucket = \"my-artifacts\", key = \"orders.zip\", version = \"…\" }."
  }
}

variable "layer_zip" {
  description = "Path of the engine's layer zip (`fluxio-layer-<version>-<architecture>.zip`), of the module's own series of versions. At most one of `layer_zip`, `layer_s3` and `layer_arn`. Without both, a release of the module uses the layer inside it."
  type        = string
  default     = null

  validation {
    condition     = var.layer_zip == null || (endswith(lower(coalesce(var.layer_zip, "-")), ".zip") && try(fileexists(coalesce(var.layer_zip, "-")), false))
    error_message = "layer_zip must be the path of a .zip file that exists when Terraform plans. Build it with `make layer`, which puts it into layer/dist, or give layer_arn instead."
  }
}

variable "layer_s3" {
  description = "The same zip in a bucket of this Region, as `{ bucket, key, version }`: whoever deploys needs no copy of it. Without `version` Terraform does not see that the object has changed: give each version a key of its own. At most one of `layer_zip`, `layer_s3` and `layer_arn`."
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

variable "layer_parameter" {
  description = "Name of a parameter in SSM's Parameter Store that is to hold the ARN of the engine's layer version, such as \"/fluxio/orders/layer\": other stacks read it there. Null: none is made."
  type        = string
  default     = null

  validation {
    condition = var.layer_parameter == null || (
      can(regex("^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}$", var.layer_parameter)) && length(coalesce(var.layer_parameter, "-")) <= 900 && !can(regex("^/?(aws|ssm)", lower(coalesce(var.layer_parameter, "-")))) &&
      (startswith(coalesce(var.layer_parameter, "-"), "/") || !strcontains(coalesce(var.layer_parameter, "-"), "/"))
    )
    error_message = "layer_parameter must be a name that Parameter Store takes: letters, digits, _ . -, at most 900 characters; with / between at most 15 parts it begins with /, and in no case with aws or ssm. Such as \"/fluxio/orders/layer\"."
  }
}

variable "layers" {
  description = "ARNs of layer versions besides the engine's, at most 4: Powertools, an OpenTelemetry collector, an extension of your monitoring. In order, and the engine's comes last: where two hold the same file, the later one's counts, so that none replaces what the engine needs. Code and layers may have 250 MB unzipped together."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.layers) <= 4 && length(distinct(var.layers)) == length(var.layers)
    error_message = "layers may name at most 4 layer versions, each once: Lambda takes 5, of which one is the engine's. Put several of them into one layer."
  }

  validation {
    condition     = alltrue([for layer in var.layers : can(regex("^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+$", layer))])
    error_message = "layers: each must be the ARN of one version of a layer: arn:aws:lambda:<region>:<account>:layer:<name>:<version>. Is the version number at the end missing?"
  }
}

variable "layer_arn" {
  description = "ARN of a published layer version with the engine, of the module's own series of versions as far as its description tells. At most one of `layer_zip`, `layer_s3` and `layer_arn`. Without both, a release of the module uses the layer inside it."
  type        = string
  default     = null

  validation {
    condition     = var.layer_arn == null || can(regex("^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+$", var.layer_arn))
    error_message = "layer_arn must be the ARN of one version of a layer: arn:aws:lambda:<region>:<account>:layer:<name>:<version>. Is the version number at the end missing?"
  }
}

variable "handler" {
  description = "Handler of the worker. The default comes with the layer; set it only to wrap the engine's handler in one of your own."
  type        = string
  default     = "fluxio.worker.lambda_handler"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z_][A-Za-z0-9_./-]*[.][A-Za-z_][A-Za-z0-9_]*$", var.handler)) && length(var.handler) <= 128
    error_message = "handler must read <module>.<function>, at most 128 characters, such as \"fluxio.worker.lambda_handler\" (the default) or \"lambda_handler.lambda_handler\"."
  }
}

variable "runtime" {
  description = "Python of the worker: python3.10, python3.11, python3.12, python3.13 or python3.14. AWS deprecated python3.10 on 2026-10-31: functions with it cannot be created from 2027-02-01, nor updated from 2027-03-03. python3.14 needs version 6 of the AWS provider: 5.100 refuses it."
  type        = string
  default     = "python3.12"
  nullable    = false

  validation {
    condition     = contains(["python3.10", "python3.11", "python3.12", "python3.13", "python3.14"], var.runtime)
    error_message = "runtime must be python3.10, python3.11, python3.12, python3.13 or python3.14: the layer holds builds for these five and no other. python3.14 needs version 6 of the AWS provider."
  }
}

variable "architecture" {
  description = "Processor of the worker: x86_64, or arm64, which costs less. The layer and whatever is compiled in the package must match it."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be \"x86_64\" or \"arm64\" (AWS's name for aarch64)."
  }
}

variable "memory_size" {
  description = "Memory of the worker in MB, 128 to 10240. CPU grows with it: 1769 MB is one full processor."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be a whole number of MB from 128 to 10240, Lambda's bounds."
  }
}

variable "ephemeral_storage" {
  description = "Size of the worker's /tmp in MB, 512 to 10240; what is above 512 costs. The steps of an environment share it, and what they leave there stays until the environment ends."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.ephemeral_storage >= 512 && var.ephemeral_storage <= 10240 && floor(var.ephemeral_storage) == var.ephemeral_storage
    error_message = "ephemeral_storage must be a whole number of MB from 512 to 10240, Lambda's bounds."
  }
}

variable "timeout" {
  description = "Timeout of the worker in seconds, 10 to 870. It must cover the longest step's own timeout; how soon a dead worker's work is taken up again follows from it (timeout + 30 s)."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.timeout >= 10 && var.timeout <= 870 && floor(var.timeout) == var.timeout
    error_message = "timeout must be a whole number of seconds from 10 to 870 (Lambda stops at 900, and 30 are kept as a margin). Split a longer step in two, or start the long work elsewhere."
  }
}

variable "environment" {
  description = "Environment variables for the steps. Names that begin with FLUXIO_ belong to the module."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.environment) : !startswith(key, "FLUXIO_")])
    error_message = "environment may not set FLUXIO_*: the module sets these itself. Use the inputs inline_branches and retention_days instead, and another prefix for your own."
  }

  validation {
    condition     = alltrue([for key in keys(var.environment) : can(regex("^[A-Za-z][A-Za-z0-9_]+$", key))])
    error_message = "environment: each name must have at least 2 characters (letters, digits, underscore) and begin with a letter. Rename the variable that does not."
  }

  validation {
    condition = length(setintersection(keys(var.environment), [
      "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
      "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
      "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
      "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
    ])) == 0
    error_message = "environment names a variable that Lambda sets itself (AWS_REGION, AWS_ACCESS_KEY_ID and the like), and Lambda would refuse it. Leave it out: the steps can read it anyway."
  }
}

variable "policy_statements" {
  description = "What the steps need to be allowed, as statements that are added to the worker's policy: `[{ actions = [\"s3:GetObject\"], resources = [\"arn:aws:s3:::invoices/*\"] }]`, each with an optional `sid`, `effect` and `conditions`."
  type = list(object({
    sid        = optional(string)
    effect     = optional(string, "Allow")
    actions    = list(string)
    resources  = list(string)
    conditions = optional(list(object({ test = string, variable = string, values = list(string) })), [])
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for statement in var.policy_statements : contains(["Allow", "Deny"], statement.effect)])
    error_message = "policy_statements: effect must be \"Allow\" (the default) or \"Deny\", spelled like that."
  }

  validation {
    condition = alltrue([
      for statement in var.policy_statements : length(statement.actions) > 0 && length(statement.resources) > 0 && alltrue([
        for action in statement.actions : can(regex("^([*]|[a-z0-9-]+:[A-Za-z0-9*?]+)$", action))
      ])
    ])
    error_message = "policy_statements: each needs at least one action, written <service>:<Action> (\"s3:GetObject\"), and at least one resource (an ARN, or \"*\")."
  }

  validation {
    condition = alltrue(flatten([
      for statement in var.policy_statements : [
        for resource in statement.resources : can(regex("^([*]|arn:[^:]+:[^:]+:[^:]*:[^:]*:.+)$", resource))
      ]
    ]))
    error_message = "policy_statements: each resource must be \"*\" or an ARN, as IAM wants it: \"arn:aws:dynamodb:<region>:<account>:table/ledger\", not the bare name \"ledger\". Take the resource's attribute `arn`."
  }

  validation {
    condition = alltrue([
      for statement in var.policy_statements : statement.sid == null || can(regex("^[A-Za-z0-9]+$", statement.sid))
    ]) && length(distinct([for statement in var.policy_statements : statement.sid if statement.sid != null])) == length([for statement in var.policy_statements : statement.sid if statement.sid != null])
    error_message = "policy_statements: a sid consists of letters and digits only, and no two statements have the same. Rename it or leave it out."
  }
}

variable "vpc" {
  description = "Subnets and security groups for the worker, `{ subnet_ids, security_group_ids, ipv6 }`, where steps need to reach into a VPC. The subnets need a way to DynamoDB and SQS (endpoints or NAT). In subnets with IPv6 alone that way leads over the dual-stack endpoints: set `ipv6 = true` and `environment = { AWS_USE_DUALSTACK_ENDPOINT = \"true\" }`. Null: outside of any VPC."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
    ipv6               = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.vpc == null || (try(length(var.vpc.subnet_ids), 0) >= 1 && alltrue([for id in try(var.vpc.subnet_ids, []) : can(regex("^subnet-[0-9a-z]+$", id))]))
    error_message = "vpc.subnet_ids needs at least one subnet, each by its id (subnet-…); two in different availability zones keep the worker going when one fails."
  }

  validation {
    condition     = var.vpc == null || (try(length(var.vpc.security_group_ids), 0) >= 1 && alltrue([for id in try(var.vpc.security_group_ids, []) : can(regex("^sg-[0-9a-z]+$", id))]))
    error_message = "vpc.security_group_ids needs at least one security group, each by its id (sg-…), that lets HTTPS out. Nothing needs to come in."
  }
}

# ---- How it runs ----------------------------------------------------------------------------------------------------

variable "maximum_concurrency" {
  description = "Most invocations that the queue starts at once, 2 to 1000: spares what the steps call, and leaves the rest of the account's quota to others, the sweep among them. New accounts have a quota of 10 (`aws lambda get-account-settings`): set 5 there, and ask AWS for 1,000. Null: as many as the account allows."
  type        = number
  default     = null

  validation {
    condition     = var.maximum_concurrency == null || try(var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency, false)
    error_message = "maximum_concurrency must be a whole number from 2 to 1000, Lambda's bounds for a mapping. For one at a time set reserved_concurrency = 1; leave it out for no limit."
  }
}

variable "reserved_concurrency" {
  description = "Invocations of the account's quota that belong to the worker alone, and its limit at the same time. At least 1. AWS refuses what would leave less than 100 unreserved, or less than 10 in an account whose quota is so low. Null: the worker shares the account's quota."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null || try(var.reserved_concurrency >= 1 && floor(var.reserved_concurrency) == var.reserved_concurrency, false)
    error_message = "reserved_concurrency must be a whole number from 1: with 0 the worker never runs, and its messages end in the DLQ. To stop it for a while, disable its mapping (`aws lambda update-event-source-mapping --no-enabled`); leave it out for no reservation."
  }
}

variable "provisioned_concurrency" {
  description = "Environments that are kept ready, so that no run waits for a start; they cost by the hour, and count as reserved in the account's quota."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.provisioned_concurrency >= 0 && floor(var.provisioned_concurrency) == var.provisioned_concurrency
    error_message = "provisioned_concurrency must be a whole number from 0 (none, the default)."
  }
}

variable "inline_branches" {
  description = "Branches of a fan-out that one invocation runs as threads, 0 to 20. Branches beyond it get an invocation of their own; 0 gives every branch one."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.inline_branches >= 0 && var.inline_branches <= 20 && floor(var.inline_branches) == var.inline_branches
    error_message = "inline_branches must be a whole number from 0 (each branch in an invocation of its own) to 20 (threads of one invocation)."
  }
}

variable "park_after" {
  description = "Seconds for which the worker must have been unable to go on with a run before it parks it for an operator, 0 to 300: the code of a step is missing, or a workflow's import fails. While a deploy is under way, old and new workers take turns; a run waits that long for one that can go on. Lower it where deploys are not tried on live runs."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.park_after >= 0 && var.park_after <= 300 && floor(var.park_after) == var.park_after
    error_message = "park_after must be a whole number of seconds from 0 (park at once) to 300."
  }
}

variable "retention_days" {
  description = "Days that an ended run stays in the table, 1 to 3650. After that DynamoDB deletes it, usually within two days."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 3650 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days must be a whole number of days from 1 to 3650 (ten years)."
  }
}

variable "schedules" {
  description = "Runs that start by the clock, by the name of their schedule: `{ nightly = { workflow = \"Report\", expression = \"cron(0 2 * * ? *)\", timezone = \"Europe/Berlin\", input = jsonencode({ region = \"eu\" }) } }`. `expression` is one of EventBridge Scheduler's: `cron(…)`, `rate(…)` or `at(…)`; `timezone` is UTC unless given; `enabled = false` pauses it. A run's id is the schedule's name and the time it was scheduled for, `nightly-2026-11-25T01:00:00Z` (in UTC): one run each time, however often the schedule fires. `<aws.scheduler.scheduled-time>` in a string of the input becomes that time."
  type = map(object({
    workflow   = string
    expression = string
    timezone   = optional(string, "UTC")
    input      = optional(string, "{}")
    enabled    = optional(bool, true)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.schedules) : can(regex("^[a-z][a-z0-9-]{0,22}$", name)) && name != "sweep"])
    error_message = "schedules: a schedule's name has 1 to 23 characters (a-z, 0-9, hyphen) and begins with a letter; it is a part of the ids of its runs. `sweep` is taken by the module's own schedule. Rename the schedule."
  }

  validation {
    condition     = alltrue([for schedule in values(var.schedules) : can(regex("^[A-Za-z_][A-Za-z0-9_.-]{0,63}$", schedule.workflow))])
    error_message = "schedules: workflow must be the name of a workflow as the package's manifest has it: 1 to 64 letters, digits, _ . -, beginning with a letter or _."
  }

  validation {
    condition = alltrue([
      for schedule in values(var.schedules) : length(schedule.expression) <= 256 && can(regex(
        "^(cron[(][^ ()]+( [^ ()]+){5}[)]|rate[(](1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))[)]|at[(][0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[)])$", schedule.expression
      ))
    ])
    error_message = "schedules: expression must be EventBridge Scheduler's: cron(minutes hours day-of-month month day-of-week year), with all six fields and ? in one of the two days, such as cron(0 2 * * ? *); rate(1 hour) or rate(5 minutes); or at(2027-01-31T08:00:00)."
  }

  validation {
    condition     = alltrue([for schedule in values(var.schedules) : can(regex("^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", schedule.timezone)) && length(schedule.timezone) <= 50])
    error_message = "schedules: timezone must be a name from the IANA time zone database, such as \"UTC\" or \"Europe/Berlin\"."
  }

  validation {
    condition     = alltrue([for schedule in values(var.schedules) : can(keys(jsondecode(schedule.input)))])
    error_message = "schedules: input must be the text of a JSON object, whose names become arguments of the steps. Write it with jsonencode({ … })."
  }

  # Scheduler takes 256 KB, in which the input stands as a string in a string.
  validation {
    condition     = alltrue([for schedule in values(var.schedules) : length(base64encode(jsonencode(schedule.input))) <= 320000])
    error_message = "schedules: an input is longer than EventBridge Scheduler takes: 240,000 bytes, in which each quotation mark counts twice. Put the data into S3, for example, and its key into the input."
  }
}

variable "run_events" {
  description = "Where to tell of runs that have ended: `{ event_bus_arn = aws_cloudwatch_event_bus.mine.arn }`, the default bus included, or `{ topic_arn = aws_sns_topic.mine.arn }`, in this account and Region. An event holds the run's id, workflow, status and times, and no input, result or error. It comes at least once, from the table's stream by an EventBridge pipe, outside of the engine. `statuses` are those told of: SUCCEEDED, FAILED, COMPENSATED and CANCELLED unless given. `topic_kms_key_arn` is the key of an encrypted topic, whose key policy must let the pipe's role use it. Null: no stream, and nobody is told."
  type = object({
    event_bus_arn     = optional(string)
    topic_arn         = optional(string)
    topic_kms_key_arn = optional(string)
    statuses          = optional(set(string), ["SUCCEEDED", "FAILED", "COMPENSATED", "CANCELLED"])
  })
  default = null

  validation {
    condition     = var.run_events == null || (try(var.run_events.event_bus_arn, null) == null) != (try(var.run_events.topic_arn, null) == null)
    error_message = "run_events needs exactly one of event_bus_arn and topic_arn. To tell both, give the bus, and a rule on it with the topic as its target."
  }

  validation {
    condition     = try(var.run_events.event_bus_arn, null) == null || can(regex("^arn:[^:]+:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9/._-]+$", var.run_events.event_bus_arn))
    error_message = "run_events.event_bus_arn must be the ARN of an event bus: arn:aws:events:<region>:<account>:event-bus/<name>; that of the account's default bus ends in event-bus/default."
  }

  validation {
    condition     = try(var.run_events.topic_arn, null) == null || can(regex("^arn:[^:]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.run_events.topic_arn))
    error_message = "run_events.topic_arn must be the ARN of a standard SNS topic: arn:aws:sns:<region>:<account>:<name>. A pipe cannot send to a FIFO topic (.fifo)."
  }

  validation {
    condition     = try(var.run_events.topic_kms_key_arn, null) == null || (try(var.run_events.topic_arn, null) != null && can(regex("^arn:[^:]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.run_events.topic_kms_key_arn)))
    error_message = "run_events.topic_kms_key_arn is the ARN of the key (arn:aws:kms:…:key/…, not an alias) of the topic that topic_arn names. Leave it out for an event bus, or for a topic without a key of yours."
  }

  validation {
    condition     = var.run_events == null || (try(length(var.run_events.statuses), 0) > 0 && length(setsubtract(try(var.run_events.statuses, []), ["SUCCEEDED", "FAILED", "COMPENSATED", "CANCELLED"])) == 0)
    error_message = "run_events.statuses must name at least one of SUCCEEDED, FAILED, COMPENSATED and CANCELLED, and no other: those in which a run has ended. Of a run that waits for an operator the alarm runs_parked tells."
  }
}

variable "log_retention_days" {
  description = "Days that CloudWatch keeps the worker's log, one of the values that CloudWatch knows; 0 keeps it for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains([
      0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    ], var.log_retention_days)
    error_message = "log_retention_days must be a value that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653, or 0 to keep the log for ever."
  }
}

variable "tracing" {
  description = "Traces in AWS X-Ray: \"Active\" records the runs that are sampled (docs/tracing.md), \"PassThrough\" none."
  type        = string
  default     = "PassThrough"
  nullable    = false

  validation {
    condition     = contains(["PassThrough", "Active"], var.tracing)
    error_message = "tracing must be \"Active\" or \"PassThrough\" (Lambda's names for on and off), spelled like that."
  }
}

variable "log_format" {
  description = "Format of the lines that Lambda itself adds to the worker's log: \"JSON\" or \"Text\". The worker's own lines are JSON in either case, and metrics are made from both."
  type        = string
  default     = "JSON"
  nullable    = false

  validation {
    condition     = contains(["JSON", "Text"], var.log_format)
    error_message = "log_format must be \"JSON\" or \"Text\", Lambda's names, spelled like that."
  }
}

variable "log_level" {
  description = "Least level of the lines in the worker's log: DEBUG, INFO, WARNING (which the lines call WARN, as Lambda does) or ERROR. What a run costs (`fluxio cost`) is counted from INFO lines; metrics are written at every level."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be \"DEBUG\", \"INFO\", \"WARNING\" or \"ERROR\", spelled like that."
  }
}

variable "log_payloads" {
  description = "Whether the worker's log shows what each step is given and returns, cut at 4,000 characters. For finding an error; whoever may read the log then reads what runs work on."
  type        = bool
  default     = false
  nullable    = false
}

variable "saved_queries" {
  description = "Whether to save queries in CloudWatch Logs Insights: everything about a run, and what failed. An emulator may not know them."
  type        = bool
  default     = true
  nullable    = false
}

# ---- The table ------------------------------------------------------------------------------------------------------

variable "billing" {
  description = "How the table is paid for. `{ mode = \"PAY_PER_REQUEST\" }` by request, optionally with `max_read_units` and `max_write_units` a second (to take one away, apply -1 once and then drop the input: AWS keeps no -1, so that every plan would set it again). `{ mode = \"PROVISIONED\", read = { min, max, utilization = 70 }, write = { … } }` by capacity, scaled between min and max; min = max pins it. Where it is scaled, `current` tells what Auto Scaling has set (`//modules/capacity` looks it up); without it each apply sets the capacity back to min. All of it holds for the table and for each of its three indexes. Either mode can follow the other; no run is lost."
  type = object({
    mode            = optional(string, "PAY_PER_REQUEST")
    max_read_units  = optional(number)
    max_write_units = optional(number)
    read            = optional(object({ min = number, max = number, utilization = optional(number, 70) }))
    write           = optional(object({ min = number, max = number, utilization = optional(number, 70) }))
    current         = optional(map(object({ read = number, write = number })), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["PAY_PER_REQUEST", "PROVISIONED"], var.billing.mode)
    error_message = "billing.mode must be \"PAY_PER_REQUEST\" (the default) or \"PROVISIONED\", DynamoDB's names, spelled like that."
  }

  validation {
    condition     = alltrue([for units in [var.billing.max_read_units, var.billing.max_write_units] : units == null || try(units == -1 || (units >= 1 && floor(units) == units), false)])
    error_message = "billing.max_read_units and billing.max_write_units must be whole numbers of request units a second, from 1; -1 takes away a limit that was set before."
  }

  validation {
    condition     = var.billing.mode == "PROVISIONED" ? var.billing.max_read_units == null && var.billing.max_write_units == null : var.billing.read == null && var.billing.write == null
    error_message = "billing.max_read_units and max_write_units are for PAY_PER_REQUEST, billing.read and write for PROVISIONED, where their max is the limit. Drop the ones of the other mode, or set billing.mode."
  }

  validation {
    condition     = var.billing.mode != "PROVISIONED" || (var.billing.read != null && var.billing.write != null)
    error_message = "billing.mode = \"PROVISIONED\" needs both billing.read and billing.write, each { min, max }; with min = max the capacity is fixed."
  }

  validation {
    condition = alltrue([
      for units in [var.billing.read, var.billing.write] : units == null || try(
      units.min >= 1 && units.max >= units.min && floor(units.min) == units.min && floor(units.max) == units.max, false)
    ])
    error_message = "billing.read and billing.write: min and max must be whole numbers of capacity units, min from 1 and max not below min."
  }

  validation {
    condition = alltrue([
      for units in [var.billing.read, var.billing.write] : units == null || try(units.utilization >= 20 && units.utilization <= 90, false)
    ])
    error_message = "billing.read.utilization and billing.write.utilization are the share of the capacity, in percent, at which it is scaled: 20 to 90, the bounds of Application Auto Scaling."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table. With it, `terraform destroy` fails until it is set to false and applied."
  type        = bool
  default     = false
  nullable    = false
}

variable "point_in_time_recovery" {
  description = "Whether the table can be restored to any second of the last `days`, 1 to 35. A restore makes a new table."
  type = object({
    enabled = optional(bool, true)
    days    = optional(number, 35)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.point_in_time_recovery.days >= 1 && var.point_in_time_recovery.days <= 35 && floor(var.point_in_time_recovery.days) == var.point_in_time_recovery.days
    error_message = "point_in_time_recovery.days must be a whole number from 1 to 35, DynamoDB's bounds. To keep nothing, set enabled = false."
  }
}

# ---- Who may and who must know --------------------------------------------------------------------------------------

variable "kms_key_arn" {
  description = "Your own KMS key for table, queues, log and environment variables. Its key policy must let CloudWatch Logs use it. Without it: encrypted all the same, with keys that AWS owns."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key: arn:aws:kms:<region>:<account>:key/<id>. An alias or a bare id will not do, since IAM policies name the key; take aws_kms_key.<name>.arn."
  }
}

variable "role_path" {
  description = "IAM path of the roles made here, such as `/service/`, for accounts that sort or bound roles by path."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([!-~]+/)?$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must begin and end with a slash, such as \"/\" or \"/service/\", and have at most 512 characters, IAM's bound."
  }
}

variable "permissions_boundary" {
  description = "ARN of the IAM policy that bounds the roles made here, for accounts that demand one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be the ARN of an IAM policy: arn:aws:iam::<account>:policy/<name>."
  }
}

variable "alarm_actions" {
  description = "ARNs that hear of an alarm, and of its end: SNS topics as a rule. At most five. Without any the alarms exist and are silent."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.alarm_actions) <= 5 && alltrue([for arn in var.alarm_actions : can(regex("^arn:aws[a-z-]*:[a-z0-9-]+:", arn))])
    error_message = "alarm_actions takes at most 5 ARNs, CloudWatch's bound, such as arn:aws:sns:<region>:<account>:<topic>. For more receivers, subscribe them to one SNS topic."
  }
}

variable "composite_alarm_actions" {
  description = "ARNs that hear when the first of all alarms is raised and when the last one is over: for whoever wants one call instead of several. At most five."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.composite_alarm_actions) <= 5 && alltrue([for arn in var.composite_alarm_actions : can(regex("^arn:aws[a-z-]*:[a-z0-9-]+:", arn))])
    error_message = "composite_alarm_actions takes at most 5 ARNs, CloudWatch's bound, such as arn:aws:sns:<region>:<account>:<topic>. For more receivers, subscribe them to one SNS topic."
  }
}

variable "runbook_url" {
  description = "Address of the runbook that alarms and dashboard lead to: the page of `docs/operations.md` where your people on call can read it, such as \"https://wiki.example.com/fluxio/operations\". An alarm's section is its anchor. Null: they name the file, which the release's zip of the module has inside."
  type        = string
  default     = null

  validation {
    condition     = var.runbook_url == null || can(regex("^https?://[^\\s#()]{1,200}$", var.runbook_url))
    error_message = "runbook_url must be an address of at most 200 characters that begins with https:// or http://, without an anchor (#…), spaces or parentheses: each alarm adds the anchor of its own section."
  }
}

variable "alarms" {
  description = "Alarms that are not as they should be for you: `{ runs_failed = { threshold = 10 }, worker_duration = { enabled = false } }`. What is not named keeps its default; the table below has them all."
  type = object({
    dlq_not_empty    = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
    oldest_nudge     = optional(object({ enabled = optional(bool, true), threshold = optional(number) }), {})
    runs_failed      = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
    runs_parked      = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
    runs_stuck       = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
    sweep_silent     = optional(object({ enabled = optional(bool, true), threshold = optional(number, 5) }), {})
    table_throttled  = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
    worker_duration  = optional(object({ enabled = optional(bool, true), threshold = optional(number, 90) }), {})
    worker_errors    = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
    worker_throttles = optional(object({ enabled = optional(bool, true), threshold = optional(number, 0) }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for alarm in [
        var.alarms.dlq_not_empty, var.alarms.runs_failed, var.alarms.runs_parked, var.alarms.runs_stuck,
        var.alarms.table_throttled, var.alarms.worker_errors, var.alarms.worker_throttles,
      ] : alarm.threshold >= 0 && floor(alarm.threshold) == alarm.threshold
    ])
    error_message = "alarms: the threshold of dlq_not_empty, runs_failed, runs_parked, runs_stuck, table_throttled, worker_errors and worker_throttles is the most that is still well, a whole number from 0. To hear nothing of one, set enabled = false instead of a threshold."
  }

  validation {
    condition     = coalesce(var.alarms.oldest_nudge.threshold, 60) >= 60 && coalesce(var.alarms.oldest_nudge.threshold, 60) <= 1209600 && floor(coalesce(var.alarms.oldest_nudge.threshold, 60)) == coalesce(var.alarms.oldest_nudge.threshold, 60)
    error_message = "alarms: the threshold of oldest_nudge is a whole number of seconds from 60 to 1209600 (14 days, then SQS drops a message). Leave it out for three times what a dead worker costs, at least 900."
  }

  validation {
    condition     = var.alarms.sweep_silent.threshold >= 2 && var.alarms.sweep_silent.threshold <= 60 && floor(var.alarms.sweep_silent.threshold) == var.alarms.sweep_silent.threshold
    error_message = "alarms: the threshold of sweep_silent is a whole number of minutes without a sweep, from 2 (one sweep may be late) to 60."
  }

  validation {
    condition     = var.alarms.worker_duration.threshold >= 1 && var.alarms.worker_duration.threshold < 100
    error_message = "alarms: the threshold of worker_duration is a share of the worker's timeout in percent, from 1 to below 100: what takes longer than all of it is killed, and worker_errors tells of that."
  }
}
