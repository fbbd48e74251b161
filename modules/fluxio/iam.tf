# Who may do what. One statement per group of verbs; each sid says in words what the statement is for.

# ---- The worker -----------------------------------------------------------------------------------------------------

resource "aws_iam_role" "worker" {
  name                 = local.names.worker
  description          = "fluxio worker ${local.names.worker}"
  assume_role_policy   = data.aws_iam_policy_document.lambda_may_be_the_worker.json
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "worker" {
  name   = "fluxio"
  role   = aws_iam_role.worker.name
  policy = data.aws_iam_policy_document.worker.json
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
    resources = [local.arn_of.table]
  }

  statement {
    sid       = "FindRunsThatAreDue"
    actions   = ["dynamodb:Query"]
    resources = ["${local.arn_of.table}/index/due"]
  }

  statement {
    sid       = "SendNudges"
    actions   = ["sqs:SendMessage"]
    resources = [local.arn_of.queue]
  }

  # Lambda's poller takes and deletes messages in the worker's name; the worker itself says when one should come back.
  statement {
    sid       = "TakeNudgesAndPostponeThem"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [local.arn_of.queue]
  }

  statement {
    sid       = "WriteItsOwnLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.arn_of.logs}:*"]
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
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = [for service in ["dynamodb", "sqs", "lambda"] : "${service}.*.${local.aws.suffix}"]
      }
    }
  }
}

# ---- The schedule ---------------------------------------------------------------------------------------------------

resource "aws_iam_role" "schedule" {
  name                 = local.names.schedule
  description          = "Starts the sweep of the fluxio worker ${local.names.worker}"
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
    resources = [local.arn_of.worker]
  }
}

# ---- A client -------------------------------------------------------------------------------------------------------

# Not attached to anything here: an output, for the role of whatever service starts and watches runs.
data "aws_iam_policy_document" "client" {
  # Query on the table itself: a run with a long input or output is several items, which are read together.
  statement {
    sid       = "StartReadAndSteerRuns"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
    resources = [local.arn_of.table]
  }

  statement {
    sid       = "FindRunsByWorkflowOrFailure"
    actions   = ["dynamodb:Query"]
    resources = ["${local.arn_of.table}/index/by_workflow", "${local.arn_of.table}/index/failed"]
  }

  statement {
    sid       = "NudgeTheWorker"
    actions   = ["sqs:SendMessage"]
    resources = [local.arn_of.queue]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "UseTheKeyThroughTheServices"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = [for service in ["dynamodb", "sqs"] : "${service}.*.${local.aws.suffix}"]
      }
    }
  }
}

# ---- The queues -----------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "tls_only" {
  for_each = { queue = local.arn_of.queue, dlq = local.arn_of.dlq }

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
