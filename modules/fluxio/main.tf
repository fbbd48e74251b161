# fluxio: durable workflows with nothing running but Lambda.
#
#     client ──start──▶ table ◀──read, claim, complete── worker ◀──batch── queue
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
#     queues.tf     nudges, and the nudges nobody could act on
#     worker.tf     the Lambda: engine from the layer, steps from the user's zip
#     iam.tf        what the worker, the schedule and a client may do
#     schedule.tf   the sweep
#     logs.tf       the worker's log, and what to ask it
#     alarms.tf     what wakes somebody up, and what to do first
#     dashboard.tf  one page with all of it
#     release.tf    which release this is, and the layer that belongs to it

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Every name of the deployment. `var.name` has at most 40 characters, so that the longest of these stays within the
  # tightest limit there is (64, for functions, roles and schedules).
  names = {
    table     = "${var.name}-runs"
    queue     = "${var.name}-nudges.fifo"
    dlq       = "${var.name}-nudges-dlq.fifo"
    layer     = "${var.name}-engine"
    worker    = "${var.name}-worker"
    log_group = "/aws/lambda/${var.name}-worker"
    schedule  = "${var.name}-sweep"
    dashboard = var.name

    composite_alarm = "${var.name}-needs-a-person"
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

  # Built here and not read from the resources: the queues name each other (redrive, redrive-allow), and a plan then
  # shows the policies in full.
  arn_of = {
    queue  = "arn:${local.aws.partition}:sqs:${local.aws.region}:${local.aws.account}:${local.names.queue}"
    dlq    = "arn:${local.aws.partition}:sqs:${local.aws.region}:${local.aws.account}:${local.names.dlq}"
    table  = "arn:${local.aws.partition}:dynamodb:${local.aws.region}:${local.aws.account}:table/${local.names.table}"
    worker = "arn:${local.aws.partition}:lambda:${local.aws.region}:${local.aws.account}:function:${local.names.worker}"
    alarm  = "arn:${local.aws.partition}:cloudwatch:${local.aws.region}:${local.aws.account}:alarm:"
    logs   = "arn:${local.aws.partition}:logs:${local.aws.region}:${local.aws.account}:log-group:${local.names.log_group}"
  }

  aws = {
    partition = data.aws_partition.current.partition
    suffix    = data.aws_partition.current.dns_suffix
    region    = data.aws_region.current.id # `.id` reads the same with provider 5 and 6
    account   = data.aws_caller_identity.current.account_id
  }
}
