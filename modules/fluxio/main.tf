# fluxio: durable workflows with nothing running but Lambda.
#
#     client ──start──▶ table ◀──read, claim, complete── worker ◀─message─ queue
#        │             (runs)                           (Lambda)            ▲ │
#        └──────────────────────────── nudge ───────────────┬───────────────┘ │
#                                                           │                 │ received 10 times
#                          schedule ──every minute──────────┘                 ▼ in vain
#                          {"fluxio": "sweep"}                               DLQ
#
# The table holds the truth: one item per run, changed by conditional writes. A message is only a nudge, "look at this
# run", so losing or repeating one does no harm: the sweep finds every run whose time has come and nudges it again.
#
#     table.tf      runs, and the three indexes that find them
#     scaling.tf    their capacity, where that is provisioned
#     queues.tf     nudges, and the nudges nobody could act on
#     worker.tf     the Lambda: engine from the layer, steps from the user's zip
#     iam.tf        what the worker, the schedule and a client may do
#     schedule.tf   the sweep, and the schedules that start runs
#     events.tf     events of runs that have ended
#     logs.tf       the worker's log, and what to ask it
#     alarms.tf     what wakes somebody up, and what to do first
#     dashboard.tf  one page with all of it
#     release.tf    which release this is
#     modules/layer     the engine's layer, also for a function of your own
#     modules/deployer  the policy of whoever applies the module
#     modules/capacity  what Auto Scaling has set, for a table with provisioned capacity

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Every name that the module gives. `var.name` has at most 40 characters, so that the longest of these stays within the
  # tightest limit there is (64, for functions, roles and schedules).
  names = {
    table     = "${var.name}-runs"
    queue     = "${var.name}-nudges.fifo"
    dlq       = "${var.name}-nudges-dlq.fifo"
    layer     = "${var.name}-engine"
    worker    = "${var.name}-worker"
    alias     = "live"
    log_group = "/aws/lambda/${var.name}-worker"
    schedule  = "${var.name}-sweep"
    pipe      = "${var.name}-run-events"
    dashboard = var.name

    composite_alarm = "${var.name}-needs-a-person"
  }

  # What is made here. Asked by the function's name: its environment may hold secrets, and a comparison with the whole
  # would make a secret of all that follows from it.
  makes = {
    function = try(var.existing_function.function_name, null) == null
    role     = try(var.existing_function.function_name, null) == null && var.existing.role == null
  }

  # By themselves, since they may not ask for the function (see below).
  makes_table  = var.existing.table == null
  makes_queues = var.existing.queue == null

  # What is in use: made here, or the caller's. All other files ask these and nothing else. The ARNs of what is made here
  # are built and not read: the queues name each other (redrive, redrive-allow), and a plan then shows the policies in full.
  table = {
    name = local.makes_table ? local.names.table : var.existing.table.name
    arn  = local.makes_table ? "${local.arn_of.tables}/${local.names.table}" : var.existing.table.arn
  }

  queue = {
    name = local.makes_queues ? local.names.queue : var.existing.queue.name
    arn  = local.makes_queues ? "${local.arn_of.queues}:${local.names.queue}" : var.existing.queue.arn
  }

  dlq = {
    name = local.makes_queues ? local.names.dlq : var.existing.dlq.name
    arn  = local.makes_queues ? "${local.arn_of.queues}:${local.names.dlq}" : var.existing.dlq.arn
  }

  # The same from the resources themselves, for whatever must not be there before them. What a change would replace (the
  # mapping, by its queue's ARN) takes these, too: they stand in the state, while the built ones hang on the data sources
  # above, of which Terraform knows nothing while a `depends_on` of the whole module waits for something.
  made = {
    table_name = local.makes_table ? aws_dynamodb_table.runs[0].name : var.existing.table.name
    table_arn  = local.makes_table ? aws_dynamodb_table.runs[0].arn : var.existing.table.arn
    queue_arn  = local.makes_queues ? aws_sqs_queue.nudges[0].arn : var.existing.queue.arn
    queue_url  = local.makes_queues ? aws_sqs_queue.nudges[0].url : var.existing.queue.url
    dlq_arn    = local.makes_queues ? aws_sqs_queue.dlq[0].arn : var.existing.dlq.arn
    dlq_url    = local.makes_queues ? aws_sqs_queue.dlq[0].url : var.existing.dlq.url
  }

  # None of the above may ask for `var.existing_function`: a function of the caller's gets its environment from here, so
  # all that goes into that must be known before the function is.
  worker = {
    name      = try(var.existing_function.function_name, local.names.worker)
    arn       = try(coalesce(var.existing_function.arn), "${local.arn_of.functions}:${try(var.existing_function.function_name, local.names.worker)}")
    alias     = local.makes.function ? local.names.alias : try(var.existing_function.alias, null)
    memory    = try(var.existing_function.memory_size, var.memory_size)
    layers    = coalescelist(try(var.existing_function.layers, []), concat(var.layers, [coalesce(var.layer_arn, "${local.arn_of.layers}:${local.names.layer}:*")]))
    log_group = local.makes.function ? local.names.log_group : try(coalesce(var.existing_function.logging_config[0].log_group), "/aws/lambda/${var.existing_function.function_name}")
  }
  role = {
    arn  = local.makes.function ? (local.makes.role ? aws_iam_role.worker[0].arn : var.existing.role.arn) : var.existing_function.role
    name = local.makes.function ? (local.makes.role ? local.names.worker : var.existing.role.name) : try(basename(var.existing_function.role), null)
  }

  # The one place where time is set, in seconds.
  #
  #     0 ─────────────── function_timeout ──── queue_visibility
  #     │ steps run; a lease never  │ the worker is │ the message of a worker
  #     │ ends after this moment    │ dead by now   │ that died is back
  #
  # Visibility is the function's timeout and a margin, not the six timeouts that AWS suggests for mappings in general.
  # Those keep a message from being seen twice, which is harmless to fluxio: a claim is a conditional write. What counts
  # here is how soon the message of a dead worker comes back.
  timing = {
    function_timeout    = var.timeout
    queue_visibility    = var.timeout + 30
    queue_retention     = 14 * 24 * 3600                                                                # the most that SQS keeps
    oldest_nudge_alarms = coalesce(var.alarms.oldest_nudge.threshold, max(900, 3 * (var.timeout + 30))) # two dead workers in a row, and then some
  }

  # How ARNs begin. What is in use has them in full, above.
  arn_of = {
    tables    = "arn:${local.aws.partition}:dynamodb:${local.aws.region}:${local.aws.account}:table"
    queues    = "arn:${local.aws.partition}:sqs:${local.aws.region}:${local.aws.account}"
    functions = "arn:${local.aws.partition}:lambda:${local.aws.region}:${local.aws.account}:function"
    layers    = "arn:${local.aws.partition}:lambda:${local.aws.region}:${local.aws.account}:layer"
    schedules = "arn:${local.aws.partition}:scheduler:${local.aws.region}:${local.aws.account}:schedule/default"
    pipes     = "arn:${local.aws.partition}:pipes:${local.aws.region}:${local.aws.account}:pipe"
    alarms    = "arn:${local.aws.partition}:cloudwatch:${local.aws.region}:${local.aws.account}:alarm"
    logs      = "arn:${local.aws.partition}:logs:${local.aws.region}:${local.aws.account}:log-group"
  }

  aws = {
    partition = data.aws_partition.current.partition
    suffix    = data.aws_partition.current.dns_suffix
    region    = data.aws_region.current.id # `.id` reads the same with provider 5 and 6
    account   = data.aws_caller_identity.current.account_id
  }
}
