# Who may do what. One statement per group of verbs; each sid says in words what the statement is for.

# ---- The worker -----------------------------------------------------------------------------------------------------

resource "aws_iam_role" "worker" {
  # Order of deletion: it goes with the function, or where `existing.role` takes its place, when the function is without a role for
  # seconds and messages come back. Its name is fixed, so that another path or boundary could not be made beside it.
  count = local.makes.role ? 1 : 0

  name                 = local.names.worker
  path                 = var.role_path
  description          = "fluxio worker ${local.names.worker}"
  assume_role_policy   = data.aws_iam_policy_document.lambda_may_be_the_worker.json
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "worker" {
  # Order of deletion: as its role.
  count = local.makes.role ? 1 : 0

  name   = "fluxio"
  role   = aws_iam_role.worker[0].name
  policy = data.aws_iam_policy_document.worker.json
}

# A role of the caller's: its policy is the caller's, too, and what must be in it is an output.

locals {
  # What DynamoDB asks of whoever uses a table with a key of the caller's; SQS and Lambda need less:
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
  key_use = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
}

data "aws_iam_policy_document" "lambda_may_be_the_worker" {
  statement {
    sid     = "LambdaMayBeTheWorker"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "worker" {
  # A transaction (ctx.transact) needs the rights of the writes in it and no others.
  statement {
    sid       = "ReadAndMoveRuns"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [local.table.arn]
  }

  statement {
    sid       = "FindRunsThatAreDue"
    actions   = ["dynamodb:Query"]
    resources = ["${local.table.arn}/index/due"]
  }

  statement {
    sid       = "SendNudges"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue.arn]
  }

  # Lambda's poller takes and deletes messages in the worker's name; the worker itself says when one should come back.
  statement {
    sid       = "TakeNudgesAndPostponeThem"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [local.queue.arn]
  }

  statement {
    sid       = "WriteItsOwnLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.arn_of.logs}:${local.worker.log_group}:*"]
  }

  # What Lambda needs to put the worker into a VPC: AWS's list, in the worker's name.
  dynamic "statement" {
    for_each = var.vpc == null ? [] : ["*"]

    content {
      sid = "BeInTheVpc"
      actions = [
        "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
      ]
      resources = [statement.value]
    }
  }

  # X-Ray knows no resources to which these could be confined.
  dynamic "statement" {
    for_each = var.tracing == "Active" ? ["*"] : []

    content {
      sid       = "WriteTraces"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "UseTheKeyThroughTheServices"
      actions   = local.key_use
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = [for service in ["dynamodb", "sqs", "lambda"] : "${service}.*.${local.aws.suffix}"]
      }
    }
  }

  # What the steps need.
  dynamic "statement" {
    for_each = var.policy_statements

    content {
      sid       = statement.value.sid
      effect    = statement.value.effect
      actions   = statement.value.actions
      resources = statement.value.resources

      dynamic "condition" {
        for_each = statement.value.conditions

        content {
          test     = condition.value.test
          variable = condition.value.variable
          values   = condition.value.values
        }
      }
    }
  }
}

# ---- The schedule ---------------------------------------------------------------------------------------------------

resource "aws_iam_role" "schedule" {
  name                 = local.names.schedule
  path                 = var.role_path
  description          = "Starts the sweep of the fluxio worker ${local.worker.name}"
  assume_role_policy   = data.aws_iam_policy_document.scheduler_may_start_the_sweep.json
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "schedule" {
  name   = "fluxio"
  role   = aws_iam_role.schedule.name
  policy = data.aws_iam_policy_document.schedule.json
}

data "aws_iam_policy_document" "scheduler_may_start_the_sweep" {
  statement {
    sid     = "SchedulerMayStartTheSweep"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    # A schedule of another account may not borrow this role.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.aws.account]
    }
  }
}

data "aws_iam_policy_document" "schedule" {
  statement {
    sid       = "InvokeTheWorker"
    actions   = ["lambda:InvokeFunction"]
    resources = [join(":", compact([local.worker.arn, local.worker.alias]))]
  }

  dynamic "statement" {
    for_each = length(var.schedules) > 0 ? [local.queue.arn] : []

    content {
      sid       = "StartRuns"
      actions   = ["sqs:SendMessage"]
      resources = [statement.value]
    }
  }

  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html: what a sender needs.
  dynamic "statement" {
    for_each = length(var.schedules) > 0 ? var.kms_key_arn[*] : []

    content {
      sid       = "UseTheKeyThroughTheQueue"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["sqs.*.${local.aws.suffix}"]
      }
    }
  }
}

# ---- A client -------------------------------------------------------------------------------------------------------

# Not attached to anything here: an output, for the role of whatever service starts and watches runs.
data "aws_iam_policy_document" "client" {
  # Query on the table itself: a run with a long input or output is several items, which are read together.
  statement {
    sid       = "StartReadAndSteerRuns"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
    resources = [local.table.arn]
  }

  statement {
    sid       = "FindRuns"
    actions   = ["dynamodb:Query"]
    resources = [for index in keys(local.indexes) : "${local.table.arn}/index/${index}"]
  }

  statement {
    sid       = "NudgeTheWorker"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue.arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "UseTheKeyThroughTheServices"
      actions   = local.key_use
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = [for service in ["dynamodb", "sqs"] : "${service}.*.${local.aws.suffix}"]
      }
    }
  }
}

# ---- An operator ----------------------------------------------------------------------------------------------------

# A client who may also look at everything: what docs/cli.md lists for `fluxio list`, `dlq`, `cost` and `doctor`.
data "aws_iam_policy_document" "operator" {
  source_policy_documents = [data.aws_iam_policy_document.client.json]

  statement {
    sid       = "FindFailedAndWaitingRuns"
    actions   = ["dynamodb:Scan"]
    resources = ["${local.table.arn}/index/by_workflow", "${local.table.arn}/index/failed"]
  }

  statement {
    sid       = "LookAtTheTable"
    actions   = ["dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive"]
    resources = [local.table.arn]
  }

  statement {
    sid       = "LookAtTheQueues"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [local.queue.arn, local.dlq.arn]
  }

  statement {
    sid       = "ReadAndEmptyTheDlq"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
    resources = [local.dlq.arn]
  }

  statement {
    sid       = "LookAtTheWorker"
    actions   = ["lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration", "lambda:GetFunctionRecursionConfig"]
    resources = concat([local.worker.arn], [for alias in local.worker.alias[*] : "${local.worker.arn}:${alias}"])
  }

  statement {
    sid       = "LookAtItsLayers"
    actions   = ["lambda:GetLayerVersion"]
    resources = local.worker.layers
  }

  statement {
    sid       = "ReadItsLog"
    actions   = ["logs:FilterLogEvents"]
    resources = [for end in ["", ":*"] : "${local.arn_of.logs}:${local.worker.log_group}${end}"] # both are in use for a group
  }

  statement {
    sid       = "LookAtTheSchedule"
    actions   = ["scheduler:GetSchedule"]
    resources = ["${local.arn_of.schedules}/${local.names.schedule}"]
  }

  # Lambda shows a function's environment only to those who may use the key that it is encrypted with.
  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "ReadTheWorkersSettings"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["lambda.*.${local.aws.suffix}"]
      }
    }
  }

  # Lists know no resources to which these could be confined.
  statement {
    sid       = "FindMappingAndSchedule"
    actions   = ["lambda:ListEventSourceMappings", "scheduler:ListSchedules"]
    resources = ["*"]
  }
}

# ---- The queues -----------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "tls_only" {
  for_each = { for name, queue in { queue = local.queue, dlq = local.dlq } : name => queue.arn if local.makes_queues }

  statement {
    sid       = "RefuseWhoeverDoesNotUseTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
