# Nudges. FIFO, so that a group (a run, or a step of a run) is never worked on twice at once, and in high-throughput
# mode, which AWS grants only with both of the settings below: without them a queue stops at 300 calls a second.

locals {
  # A worker reports a message as failed in the ordinary course of things too (backoff, a step that runs elsewhere), so
  # the count is generous. A nudge that ends in the DLQ loses nothing: the sweep sends another.
  receives_until_dlq = 10
}

resource "aws_sqs_queue" "nudges" {
  # Order of deletion: its name is fixed, and SQS keeps a deleted one for a minute. The mapping, which hangs on it, goes first.
  count = local.makes_queues ? 1 : 0

  name                        = local.names.queue
  fifo_queue                  = true
  deduplication_scope         = "messageGroup"
  fifo_throughput_limit       = "perMessageGroupId"
  content_based_deduplication = false # each nudge carries an id of its own: run, step, attempt
  visibility_timeout_seconds  = local.timing.queue_visibility
  message_retention_seconds   = local.timing.queue_retention
  policy                      = data.aws_iam_policy_document.tls_only["queue"].json
  tags                        = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq[0].arn
    maxReceiveCount     = local.receives_until_dlq
  })

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn
}

resource "aws_sqs_queue" "dlq" {
  # Order of deletion: as the queue, which names it and goes first.
  count = local.makes_queues ? 1 : 0

  name                        = local.names.dlq
  fifo_queue                  = true # the dead-letter queue of a FIFO queue must be one
  content_based_deduplication = false
  visibility_timeout_seconds  = 30
  message_retention_seconds   = local.timing.queue_retention
  policy                      = data.aws_iam_policy_document.tls_only["dlq"].json
  tags                        = var.tags

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue.arn]
  })

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn
}
