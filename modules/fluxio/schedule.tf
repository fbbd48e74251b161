# The sweep: once a minute the worker looks for runs whose time has come (timers, lost nudges, nudges in the DLQ).

resource "aws_scheduler_schedule" "sweep" {
  #checkov:skip=CKV_AWS_297:all it holds is {"fluxio": "sweep"}, which is no secret
  name                = local.names.schedule
  description         = "Asks the fluxio worker to nudge the runs that are due"
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.called_arn
    role_arn = aws_iam_role.schedule.arn
    input    = jsonencode({ fluxio = "sweep" })

    # The next minute brings the next one.
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
  }

  depends_on = [aws_iam_role_policy.schedule]
}
