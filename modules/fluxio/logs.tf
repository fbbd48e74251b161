# The worker's log: JSON lines, and the metrics in them (docs/metrics.md).

resource "aws_cloudwatch_log_group" "worker" {
  #checkov:skip=CKV_AWS_338:how long is the caller's choice (`log_retention_days`): the table, not the log, tells what became of a run
  # Order of deletion: it goes when the function goes, which is before it; and its name is fixed.
  count = local.makes.function ? 1 : 0

  name              = local.names.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# CloudWatch Logs Insights shows these under "Saved queries", in a folder named after the deployment.
resource "aws_cloudwatch_query_definition" "this" {
  for_each = var.saved_queries ? local.queries : {}

  name            = "${var.name}/${each.key}"
  log_group_names = [coalesce(one(aws_cloudwatch_log_group.worker[*].name), local.worker.log_group)]
  query_string    = each.value
}

locals {
  queries = {
    "everything about run X" = <<-EOT
      # Put the id of the run in place of X.
      fields @timestamp, level, message, step, attempt, error, reason, verdict, seconds, ms, request_id, @logStream
      | filter run_id = "X"
      | sort @timestamp asc
      | limit 10000
    EOT

    "what failed in the last hours" = <<-EOT
      # The time range is the one at the top of the page.
      # Lines of the worker have `level`, those of Lambda's runtime (a package that cannot be imported, a handler that raised)
      # `log_level` and `errorType`, and its reports `record.status`. Earlier workers wrote WARNING.
      fields @timestamp, coalesce(level, log_level, record.status) as severity, coalesce(message, errorMessage) as what, errorType, workflow, run_id, step, attempt, error, reason
      | filter level in ["WARN", "WARNING", "ERROR"] or log_level in ["WARN", "ERROR"] or ispresent(errorType) or record.status in ["error", "timeout"]
      | sort @timestamp desc
      | limit 1000
    EOT
  }
}
