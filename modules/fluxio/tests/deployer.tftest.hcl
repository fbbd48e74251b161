# What whoever applies the module may do, modules/deployer. The real provider with made-up keys, as in policies.tftest.hcl.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

variables {
  name = "orders"
}

run "a_deployer_may_make_this_deployment_and_no_other" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  assert {
    condition = alltrue(flatten([
      for s in jsondecode(output.deployer_policy_json).Statement : [
        for resource in flatten([s.Resource]) : can(regex("[:/]orders(-|$)|/orders-worker", resource)) || contains(["Mapping", "MakeTheMapping", "MappingsTags", "WhatHasNoResource"], s.Sid)
      ]
    ]))
    error_message = "whatever has a name begins with the deployment's"
  }

  assert {
    condition     = length(replace(replace(output.deployer_policy_json, " ", ""), "\n", "")) <= 6144
    error_message = "and with a name of some length it fits a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
  }

  assert {
    condition     = alltrue([for s in jsondecode(output.deployer_policy_json).Statement : alltrue([for action in flatten([s.Action]) : !endswith(action, "*")])])
    error_message = "each action is named"
  }

  assert {
    condition     = [for s in jsondecode(output.deployer_policy_json).Statement : join(" ", sort(s.Condition.ArnLike["lambda:FunctionArn"])) if endswith(s.Sid, "Mapping")] == [for i in range(2) : "arn:aws:lambda:eu-west-1:123456789012:function:orders-worker arn:aws:lambda:eu-west-1:123456789012:function:orders-worker:*"]
    error_message = "a mapping is one of the worker"
  }

  assert {
    condition     = length(setsubtract([for s in jsondecode(output.deployer_policy_json).Statement : s.Sid], ["Table", "Queues", "Worker", "Layer", "Mapping", "MakeTheMapping", "MappingsTags", "Roles", "HandTheRolesOver", "Schedules", "RunEvents", "Log", "Alarms", "Dashboard", "WhatHasNoResource"])) == 0
    error_message = "what only some deployments need is not allowed unless asked for"
  }
}

run "with_all_that_a_deployment_may_have" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    name            = "a234567890123456789012345678901234567890"
    role_path       = "/service/"
    provisioned     = true
    kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    layer_parameter = "/fluxio/layer"
    layers          = ["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:7"]
    objects         = ["artifacts/orders/*.zip"]
  }

  assert {
    condition     = length(replace(replace(output.deployer_policy_json, " ", ""), "\n", "")) <= 10240
    error_message = "it fits the inline policies of a role: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
  }

  assert {
    condition     = contains(flatten([for s in jsondecode(output.deployer_policy_json).Statement : s.Resource if s.Sid == "Roles"]), "arn:aws:iam::123456789012:role/service/${var.name}-worker")
    error_message = "roles have their path"
  }

  assert {
    condition = { for s in jsondecode(output.deployer_policy_json).Statement : s.Sid => s.Resource if contains(["LayerParameter", "OtherLayers", "GiveTheKeyToTableAndWorker"], s.Sid) } == {
      LayerParameter             = "arn:aws:ssm:eu-west-1:123456789012:parameter/fluxio/layer"
      OtherLayers                = "arn:aws:lambda:eu-west-1:111122223333:layer:powertools:7"
      GiveTheKeyToTableAndWorker = var.kms_key_arn
    }
    error_message = "what was asked for is named"
  }
}

run "what_cannot_be_is_refused" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    name            = "Orders"
    role_path       = "service"
    kms_key_arn     = "alias/mine"
    layer_parameter = "a b"
    layers          = ["powertools"]
    objects         = ["s3://artifacts/orders.zip"]
  }

  expect_failures = [var.name, var.role_path, var.kms_key_arn, var.layer_parameter, var.layers, var.objects]
}
