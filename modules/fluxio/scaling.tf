# Capacity of the table and of its indexes where `billing` provisions it. An index that is throttled throttles the table, so
# all four have the same bounds, each scaled by itself.

locals {
  provisioned = local.makes_table && var.billing.mode == "PROVISIONED"
  bounds      = local.provisioned ? { read = var.billing.read, write = var.billing.write } : {}

  # min = max pins a capacity: nothing is left to scale.
  scaled = { for kind, bound in local.bounds : kind => bound if bound.min < bound.max }

  # What is scaled: `table_read`, `due_write` and so on.
  scalings = {
    for pair in setproduct(concat(["table"], keys(local.indexes)), keys(local.scaled)) : join("_", pair) => {
      resource  = join("/", compact(["table", local.table.name, pair[0] == "table" ? "" : "index/${pair[0]}"]))
      dimension = "dynamodb:${pair[0] == "table" ? "table" : "index"}:${title(pair[1])}CapacityUnits"
      metric    = "DynamoDB${title(pair[1])}CapacityUtilization"
      bound     = local.scaled[pair[1]]
    }
  }

  # The capacity to ask for is the one that is there, within the bounds: what Auto Scaling has set since is no change, and
  # neither is an index's, which Terraform could not ignore (the indexes are a set). The caller says what is there (see
  # modules/capacity); of a table that is yet to be made, or that comes from on demand, nothing is, and it begins at the least.
  capacity = {
    for name in concat(["table"], keys(local.indexes)) : name => {
      for kind in ["read", "write"] : kind => local.provisioned ? min(max(try(var.billing.current[name][kind], 0), local.bounds[kind].min), local.bounds[kind].max) : null
    }
  }
}

resource "aws_appautoscaling_target" "table" {
  # Order of deletion: only its own policy names it, by the same key, and goes first.
  for_each = local.scalings

  service_namespace  = "dynamodb"
  resource_id        = each.value.resource
  scalable_dimension = each.value.dimension
  min_capacity       = each.value.bound.min
  max_capacity       = each.value.bound.max
  tags               = var.tags

  depends_on = [aws_dynamodb_table.runs]
}

resource "aws_appautoscaling_policy" "table" {
  for_each = local.scalings

  name               = "${var.name}-${replace(each.key, "_", "-")}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.table[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.table[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.table[each.key].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = each.value.bound.utilization

    predefined_metric_specification {
      predefined_metric_type = each.value.metric
    }
  }
}
