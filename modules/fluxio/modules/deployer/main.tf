# What whoever applies the module must be allowed: a policy to attach to their role, made once by an administrator.
#
#     module "fluxio_deployer" {
#       source = "<where the fluxio module comes from>//modules/deployer"
#       name   = "orders"
#     }
#
#     resource "aws_iam_policy" "deployer" {
#       name   = "orders-deployer"
#       policy = module.fluxio_deployer.deployer_policy_json
#     }
#
# It names what the module names, so it is no use for another deployment, or for anything else of the account. Whoever may write a
# role's policy may give that role more than they have themselves: bound the roles (`permissions_boundary`) where that matters.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  aws  = "arn:${data.aws_partition.current.partition}"
  here = "${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}"

  function = "${local.aws}:lambda:${local.here}:function:${var.name}-worker"
  mappings = "${local.aws}:lambda:${local.here}:event-source-mapping:*"
  layer    = "${local.aws}:lambda:${local.here}:layer:${var.name}-engine"
  log      = "${local.aws}:logs:${local.here}:log-group:/aws/lambda/${var.name}-worker"

  roles = [
    for of in ["worker", "sweep", "run-events"] :
    "${local.aws}:iam::${data.aws_caller_identity.current.account_id}:role${var.role_path}${var.name}-${of}"
  ]
}

data "aws_iam_policy_document" "deployer" {
  statement {
    sid = "Table"
    actions = [
      "dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive", "dynamodb:ListTagsOfResource", "dynamodb:TagResource", "dynamodb:UntagResource",
      "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive",
    ]
    resources = ["${local.aws}:dynamodb:${local.here}:table/${var.name}-runs"]
  }

  statement {
    sid = "Queues"
    actions = [
      "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:ListQueueTags", "sqs:SetQueueAttributes", "sqs:TagQueue",
      "sqs:UntagQueue",
    ]
    resources = [for of in ["nudges", "nudges-dlq"] : "${local.aws}:sqs:${local.here}:${var.name}-${of}.fifo"]
  }

  statement {
    sid = "Worker"
    actions = [
      "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias", "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency",
      "lambda:DeleteFunctionEventInvokeConfig", "lambda:DeleteProvisionedConcurrencyConfig", "lambda:GetAlias", "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConfiguration", "lambda:GetFunctionEventInvokeConfig",
      "lambda:GetFunctionRecursionConfig", "lambda:GetProvisionedConcurrencyConfig", "lambda:ListTags", "lambda:ListVersionsByFunction",
      "lambda:PublishVersion", "lambda:PutFunctionConcurrency", "lambda:PutFunctionEventInvokeConfig", "lambda:PutFunctionRecursionConfig",
      "lambda:PutProvisionedConcurrencyConfig", "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration",
    ]
    resources = [local.function, "${local.function}:*"]
  }

  statement {
    sid       = "Layer"
    actions   = ["lambda:DeleteLayerVersion", "lambda:GetLayerVersion", "lambda:PublishLayerVersion"]
    resources = [local.layer, "${local.layer}:*"]
  }

  # To make a function with layers is to read them.
  dynamic "statement" {
    for_each = length(var.layers) > 0 ? [var.layers] : []

    content {
      sid       = "OtherLayers"
      actions   = ["lambda:GetLayerVersion"]
      resources = statement.value
    }
  }

  # A mapping has no name, only an id that AWS gives; it is known by its function.
  statement {
    sid       = "Mapping"
    actions   = ["lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
    resources = [local.mappings]

    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = [local.function, "${local.function}:*"]
    }
  }

  statement {
    sid       = "MakeTheMapping"
    actions   = ["lambda:CreateEventSourceMapping"]
    resources = ["*"]

    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = [local.function, "${local.function}:*"]
    }
  }

  statement {
    sid       = "MappingsTags"
    actions   = ["lambda:GetEventSourceMapping", "lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"]
    resources = [local.mappings]
  }

  statement {
    sid = "Roles"
    actions = [
      "iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePermissionsBoundary", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
    ]
    resources = local.roles
  }

  statement {
    sid       = "HandTheRolesOver"
    actions   = ["iam:PassRole"]
    resources = local.roles

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["lambda.amazonaws.com", "pipes.amazonaws.com", "scheduler.amazonaws.com"]
    }
  }

  statement {
    sid       = "Schedules"
    actions   = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule", "scheduler:UpdateSchedule"]
    resources = ["${local.aws}:scheduler:${local.here}:schedule/default/${var.name}-*"]
  }

  statement {
    sid = "RunEvents"
    actions = [
      "pipes:CreatePipe", "pipes:DeletePipe", "pipes:DescribePipe", "pipes:ListTagsForResource", "pipes:TagResource", "pipes:UntagResource",
      "pipes:UpdatePipe",
    ]
    resources = ["${local.aws}:pipes:${local.here}:pipe/${var.name}-run-events"]
  }

  statement {
    sid = "Log"
    actions = [
      "logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy", "logs:DisassociateKmsKey",
      "logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
    ]
    resources = [local.log, "${local.log}:*"]
  }

  statement {
    sid = "Alarms"
    actions = [
      "cloudwatch:DeleteAlarms", "cloudwatch:ListTagsForResource", "cloudwatch:PutCompositeAlarm", "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource", "cloudwatch:UntagResource",
    ]
    resources = ["${local.aws}:cloudwatch:${local.here}:alarm:${var.name}-*"]
  }

  statement {
    sid       = "Dashboard"
    actions   = ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"]
    resources = ["${local.aws}:cloudwatch::${data.aws_caller_identity.current.account_id}:dashboard/${var.name}"]
  }

  # Lists, and saved queries: IAM knows no resources to which these could be confined.
  statement {
    sid = "WhatHasNoResource"
    actions = [
      "cloudwatch:DescribeAlarms", "logs:DeleteQueryDefinition", "logs:DescribeLogGroups", "logs:DescribeQueryDefinitions",
      "logs:PutQueryDefinition",
    ]
    resources = ["*"]
  }

  # Only for billing by capacity.
  dynamic "statement" {
    for_each = var.provisioned ? ["${local.aws}:application-autoscaling:${local.here}:scalable-target/*"] : []

    content {
      sid = "Scaling"
      actions = [
        "application-autoscaling:DeleteScalingPolicy", "application-autoscaling:DeregisterScalableTarget",
        "application-autoscaling:ListTagsForResource", "application-autoscaling:PutScalingPolicy",
        "application-autoscaling:RegisterScalableTarget", "application-autoscaling:TagResource", "application-autoscaling:UntagResource",
      ]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.provisioned ? ["*"] : []

    content {
      sid       = "FindWhatIsScaled"
      actions   = ["application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies", "dynamodb:ListTables"]
      resources = [statement.value]
    }
  }

  # Application Auto Scaling works by a role that AWS makes once for the account.
  dynamic "statement" {
    for_each = var.provisioned ? ["dynamodb.application-autoscaling.amazonaws.com"] : []

    content {
      sid       = "ScalingsRole"
      actions   = ["iam:CreateServiceLinkedRole"]
      resources = ["${local.aws}:iam::${data.aws_caller_identity.current.account_id}:role/aws-service-role/${statement.value}/*"]
    }
  }

  dynamic "statement" {
    for_each = var.layer_parameter[*]

    content {
      sid = "LayerParameter"
      actions = [
        "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:GetParameters", "ssm:ListTagsForResource", "ssm:PutParameter",
        "ssm:RemoveTagsFromResource",
      ]
      resources = ["${local.aws}:ssm:${local.here}:parameter/${trimprefix(statement.value, "/")}"]
    }
  }

  dynamic "statement" {
    for_each = var.layer_parameter[*]

    content {
      sid       = "FindTheLayerParameter"
      actions   = ["ssm:DescribeParameters"]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.objects) > 0 ? [[for object in var.objects : "${local.aws}:s3:::${object}"]] : []

    content {
      sid       = "ReadPackageAndLayer"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = statement.value
    }
  }

  # DynamoDB and Lambda use the key in the name of whoever gives it to them.
  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "GiveTheKeyToTableAndWorker"
      actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}
