# Events of runs that have ended: the table's stream, by an EventBridge pipe, to an event bus or a topic. Outside of the engine: a
# run does not wait for it, and a target that refuses events holds up nothing but them.

locals {
  run_statuses_ended = ["SUCCEEDED", "FAILED", "COMPENSATED", "CANCELLED"]

  # A run's item whose status was another one before. The filter takes no records of steps, payloads and graphs, of writes to a run
  # that has ended already, and of what DynamoDB deletes. The pipe need not be paid for those.
  run_has_ended = {
    dynamodb = {
      Keys     = { sk = { S = ["run"] } }
      NewImage = { status = { S = sort(try(var.run_events.statuses, [])) } }
      OldImage = { status = { S = [{ "anything-but" = local.run_statuses_ended }] } }
    }
  }

  # What an event says. DynamoDB's numbers are texts. Nothing of what the run works on, which would have to be kept secret in turn.
  run_event = {
    deployment = var.name
    run_id     = "<$.dynamodb.Keys.pk.S>"
    workflow   = "<$.dynamodb.NewImage.workflow.S>"
    status     = "<$.dynamodb.NewImage.status.S>"
    created_at = "<$.dynamodb.NewImage.created_at.N>"
    ended_at   = "<$.dynamodb.NewImage.ended_at.N>"
  }

  events_told = var.run_events == null ? 0 : 1
}

resource "aws_pipes_pipe" "run_events" {
  count = local.events_told

  name        = local.names.pipe
  description = "Tells of runs of the fluxio deployment ${var.name} that have ended"
  role_arn    = aws_iam_role.run_events[0].arn
  source      = local.makes_table ? aws_dynamodb_table.runs[0].stream_arn : var.existing.table.stream_arn
  target      = try(coalesce(var.run_events.event_bus_arn), var.run_events.topic_arn)
  tags        = var.tags

  source_parameters {
    filter_criteria {
      filter {
        pattern = jsonencode(local.run_has_ended)
      }
    }

    # Tried again for as long as the stream has the record, which is a day.
    dynamodb_stream_parameters {
      starting_position             = "LATEST"
      batch_size                    = 10 # the most that either target takes at once
      parallelization_factor        = 10
      maximum_retry_attempts        = -1
      maximum_record_age_in_seconds = -1
    }
  }

  target_parameters {
    # Terraform writes the brackets as escapes, which the pipe does not know.
    input_template = replace(replace(jsonencode(local.run_event), "\\u003c", "<"), "\\u003e", ">")

    dynamic "eventbridge_event_bus_parameters" {
      for_each = var.run_events.event_bus_arn[*]

      content {
        source      = "fluxio"
        detail_type = "fluxio run ended"
        resources   = [local.table.arn]
      }
    }
  }

  lifecycle {
    precondition {
      condition     = local.makes_table || (try(var.existing.table.stream_arn, null) != null && try(var.existing.table.stream_view_type, null) == "NEW_AND_OLD_IMAGES")
      error_message = "run_events reads the stream of existing.table, which has none that shows both images. Set stream_enabled = true and stream_view_type = \"NEW_AND_OLD_IMAGES\" on the table, and pass the whole resource: existing = { table = aws_dynamodb_table.<name> }."
    }
  }

  depends_on = [aws_iam_role_policy.run_events]
}

resource "aws_iam_role" "run_events" {
  # Order of deletion: the pipe, which names it, goes with it and before it.
  count = local.events_told

  name                 = local.names.pipe
  path                 = var.role_path
  description          = "Reads the stream of the fluxio table ${local.table.name} and tells of runs that have ended"
  assume_role_policy   = data.aws_iam_policy_document.pipe_may_tell[0].json
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "run_events" {
  # Order of deletion: as its role.
  count = local.events_told

  name   = "fluxio"
  role   = aws_iam_role.run_events[0].name
  policy = data.aws_iam_policy_document.run_events[0].json
}

data "aws_iam_policy_document" "pipe_may_tell" {
  count = local.events_told

  statement {
    sid     = "PipeMayTellOfRuns"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["pipes.amazonaws.com"]
    }

    # No other pipe may borrow this role, of this account or of another.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.aws.account]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["${local.arn_of.pipes}/${local.names.pipe}"]
    }
  }
}

data "aws_iam_policy_document" "run_events" {
  count = local.events_told

  statement {
    sid       = "ReadTheStream"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
    resources = ["${local.table.arn}/stream/*"]
  }

  # A list knows no resources to which it could be confined.
  statement {
    sid       = "FindTheStream"
    actions   = ["dynamodb:ListStreams"]
    resources = ["*"]
  }

  statement {
    sid       = "TellOfRuns"
    actions   = [var.run_events.event_bus_arn == null ? "sns:Publish" : "events:PutEvents"]
    resources = [try(coalesce(var.run_events.event_bus_arn), var.run_events.topic_arn)]
  }

  # The stream is encrypted as its table is.
  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "ReadTheStreamWithItsKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["dynamodb.*.${local.aws.suffix}"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.run_events.topic_kms_key_arn[*]

    content {
      sid       = "UseTheTopicsKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["sns.*.${local.aws.suffix}"]
      }
    }
  }
}
