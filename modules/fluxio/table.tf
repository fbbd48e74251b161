# A run is one item: pk = the run's id, sk = "run". Larger outputs, and the graphs of workflow versions, are items beside it.
# The indexes are sparse where they can be: a run is in `due` only while it is open, in `failed` only once it has failed.

resource "aws_dynamodb_table" "runs" {
  name         = local.names.table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"
  tags         = var.tags

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "workflow_shard"
    type = "S"
  }

  attribute {
    name = "created_at"
    type = "N"
  }

  attribute {
    name = "due"
    type = "N"
  }

  attribute {
    name = "wake_at"
    type = "N"
  }

  attribute {
    name = "failed"
    type = "S"
  }

  attribute {
    name = "ended_at"
    type = "N"
  }

  # Runs of a workflow, newest first. Sharded: a partition takes 1,000 writes a second, on an index as well.
  global_secondary_index {
    name               = "by_workflow"
    hash_key           = "workflow_shard"
    range_key          = "created_at"
    projection_type    = "INCLUDE"
    non_key_attributes = ["status", "ended_at"]
  }

  # Open runs by the time at which somebody must look at them: what the sweep reads.
  global_secondary_index {
    name            = "due"
    hash_key        = "due"
    range_key       = "wake_at"
    projection_type = "KEYS_ONLY"
  }

  # Failed runs of a workflow, newest first.
  global_secondary_index {
    name               = "failed"
    hash_key           = "failed"
    range_key          = "ended_at"
    projection_type    = "INCLUDE"
    non_key_attributes = ["status", "created_at"]
  }

  ttl {
    enabled        = true
    attribute_name = "ttl"
  }

  # Without a key of the user's: the AWS managed key `aws/dynamodb`.
  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  point_in_time_recovery {
    enabled = true
  }
}
