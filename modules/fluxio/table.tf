# A run is one item: pk = the run's id, sk = "run". Larger outputs, and the graphs of workflow versions, are items beside it.
# The indexes are sparse where they can be: a run is in `due` only while it is open, in `failed` only once it has failed.

resource "aws_dynamodb_table" "runs" {
  #checkov:skip=CKV_AWS_28:it is on unless the caller says otherwise; checkov does not see the defaults of `point_in_time_recovery`
  #checkov:skip=CKV_AWS_119:with `kms_key_arn` it is encrypted with a key of the caller's; without, with one that AWS owns
  #checkov:skip=CKV2_AWS_16:on demand there is nothing to scale, and scaling.tf scales what is provisioned
  # Order of deletion: it holds the runs, and its name is fixed. Whoever moves to a table of their own moves the runs first.
  count = local.makes_table ? 1 : 0

  name                        = local.names.table
  billing_mode                = var.billing.mode
  read_capacity               = local.capacity.table.read
  write_capacity              = local.capacity.table.write
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  # Only for run_events. An event is told when a run's status changes, so the pipe must see the one before, too.
  stream_enabled   = var.run_events == null ? null : true
  stream_view_type = var.run_events == null ? null : "NEW_AND_OLD_IMAGES"

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

  dynamic "global_secondary_index" {
    for_each = local.indexes

    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.hash_key
      range_key          = global_secondary_index.value.range_key
      projection_type    = length(global_secondary_index.value.with) > 0 ? "INCLUDE" : "KEYS_ONLY"
      non_key_attributes = global_secondary_index.value.with
      read_capacity      = local.capacity[global_secondary_index.key].read
      write_capacity     = local.capacity[global_secondary_index.key].write

      dynamic "on_demand_throughput" {
        for_each = local.limits

        content {
          max_read_request_units  = on_demand_throughput.value.read
          max_write_request_units = on_demand_throughput.value.write
        }
      }
    }
  }

  dynamic "on_demand_throughput" {
    for_each = local.limits

    content {
      max_read_request_units  = on_demand_throughput.value.read
      max_write_request_units = on_demand_throughput.value.write
    }
  }

  ttl {
    enabled        = true
    attribute_name = "ttl"
  }

  # Without a key of the caller's, DynamoDB encrypts with one that AWS owns, which costs nothing and calls no KMS. `enabled`
  # alone would be the AWS managed key `aws/dynamodb`, whose calls are charged and which no other account can use.
  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }

  point_in_time_recovery {
    enabled                 = var.point_in_time_recovery.enabled
    recovery_period_in_days = var.point_in_time_recovery.enabled ? var.point_in_time_recovery.days : null
  }
}

# What is told of a table of the caller's is held against what fluxio needs. Of a table given by name and ARN alone nothing is
# told: `fluxio doctor` looks at it.
resource "terraform_data" "existing_table" {
  count = local.makes_table ? 0 : 1

  lifecycle {
    precondition {
      condition     = length(local.not_for_an_existing_table) == 0
      error_message = "existing.table is not made here, so its settings are its maker's: drop ${join(", ", local.not_for_an_existing_table)}."
    }

    precondition {
      condition     = coalesce(var.existing.table.hash_key, "pk") == "pk" && (var.existing.table.hash_key == null || var.existing.table.range_key == "sk")
      error_message = "existing.table: ${var.existing.table.name} has the key (${coalesce(var.existing.table.hash_key, "none")}, ${coalesce(var.existing.table.range_key, "none")}); a table for fluxio has the partition key pk and the sort key sk. A key cannot be changed: make another table."
    }

    precondition {
      condition     = var.existing.table.attribute == null || length(setintersection(coalesce(var.existing.table.attribute, []), [{ name = "pk", type = "S" }, { name = "sk", type = "S" }])) == 2
      error_message = "existing.table: pk and sk of ${var.existing.table.name} are not both strings (type S). A key cannot be changed: make another table."
    }

    precondition {
      condition     = var.existing.table.global_secondary_index == null || length(local.indexes_missing) == 0
      error_message = "existing.table: ${var.existing.table.name} lacks ${join(", ", local.indexes_missing)}. A table for fluxio has these indexes, with the keys, types and attributes that the module's table.tf gives them."
    }

    precondition {
      condition     = var.existing.table.ttl == null || anytrue([for ttl in coalesce(var.existing.table.ttl, []) : coalesce(ttl.enabled, false) && ttl.attribute_name == "ttl"])
      error_message = "existing.table: ${var.existing.table.name} has no TTL on the attribute ttl, so ended runs would stay for ever. Switch it on: aws dynamodb update-time-to-live --table-name ${var.existing.table.name} --time-to-live-specification Enabled=true,AttributeName=ttl"
    }
  }
}

locals {
  indexes = {
    # Runs of a workflow, newest first. Sharded: a partition takes 1,000 writes a second, on an index as well. Keys only, or
    # each change of a status would be a write here, too: a listing reads the statuses from the runs.
    by_workflow = { hash_key = "workflow_shard", range_key = "created_at", with = [] }

    # Open runs by the time at which somebody must look at them: what the sweep reads.
    due = { hash_key = "due", range_key = "wake_at", with = [] }

    # Failed runs of a workflow, newest first.
    failed = { hash_key = "failed", range_key = "ended_at", with = ["status", "created_at"] }
  }

  # Provider 6 may tell an index's keys by another attribute, which leaves these empty: then the name decides.
  indexes_missing = [
    for name, index in local.indexes : "${name} (${index.hash_key}, ${index.range_key})" if !anytrue([
      for found in try(coalesce(var.existing.table.global_secondary_index), []) :
      found.name == name && coalesce(found.hash_key, index.hash_key) == index.hash_key && coalesce(found.range_key, index.range_key) == index.range_key
    ])
  ]

  # Limits on demand, where there are any: a list of one, or empty.
  limits = [
    for limit in [{ read = var.billing.max_read_units, write = var.billing.max_write_units }] : limit if limit.read != null || limit.write != null
  ]

  not_for_an_existing_table = [
    for input, given in {
      billing                = var.billing.mode != "PAY_PER_REQUEST" || length(local.limits) > 0
      deletion_protection    = var.deletion_protection
      point_in_time_recovery = !var.point_in_time_recovery.enabled || var.point_in_time_recovery.days != 35
    } : input if given
  ]
}
