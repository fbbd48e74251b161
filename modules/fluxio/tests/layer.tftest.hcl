# The engine's layer by itself, modules/layer. Offline: nothing is asked of AWS.

mock_provider "aws" {}

variables {
  name      = "orders-engine"
  layer_zip = "tests/fixtures/layer-x86_64.zip"
}

run "from_a_zip" {
  command = plan

  module {
    source = "./modules/layer"
  }

  assert {
    condition     = aws_lambda_layer_version.engine[0].filename == var.layer_zip && aws_lambda_layer_version.engine[0].source_code_hash == filebase64sha256(var.layer_zip)
    error_message = "a layer version is made from the zip, and anew when the zip changes"
  }

  assert {
    condition     = aws_lambda_layer_version.engine[0].description == "fluxio engine"
    error_message = "a zip whose name tells no version is not said to be of one"
  }

  assert {
    condition     = length(aws_lambda_layer_version.engine[0].compatible_runtimes) == 4 && aws_lambda_layer_version.engine[0].compatible_architectures == toset(["x86_64"])
    error_message = "the layer is offered to the four Pythons that every provider knows"
  }
}

run "that_is_published_already" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = null
    layer_arn = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
  }

  override_data {
    target = data.aws_lambda_layer_version.published
    values = { description = "fluxio engine of our own" }
  }

  assert {
    condition     = length(aws_lambda_layer_version.engine) == 0 && output.layer_arn == var.layer_arn
    error_message = "no layer version is made, and the one that was given is used, as its description tells no version"
  }

  assert {
    condition     = data.aws_lambda_layer_version.published[0].layer_name == "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio" && data.aws_lambda_layer_version.published[0].version == 7
    error_message = "it is that version which is looked at"
  }
}

run "that_is_published_and_of_another_series_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = null
    layer_arn = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
  }

  override_data {
    target = data.aws_lambda_layer_version.published
    values = { description = "fluxio engine 0.0.9" }
  }

  expect_failures = [data.aws_lambda_layer_version.published]
}

run "both_from_a_zip_and_published_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_arn = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
  }

  expect_failures = [data.aws_lambda_layer_version.published]
}

run "neither_from_a_zip_nor_published_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = null
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "for_the_other_architecture_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    architecture = "arm64"
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "of_another_series_of_versions_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = "tests/fixtures/fluxio-layer-0.0.0-x86_64.zip"
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "with_wrong_inputs_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    name         = "orders engine"
    architecture = "aarch64"
    runtimes     = ["python3.9"]
    layer_zip    = "tests/fixtures/no-such-file.zip"
    layer_arn    = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio"
  }

  expect_failures = [var.name, var.architecture, var.runtimes, var.layer_zip, var.layer_arn]
}

run "for_no_python_at_all_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    name      = ""
    runtimes  = []
    layer_zip = "tests/layer.tftest.hcl"
  }

  expect_failures = [var.name, var.runtimes, var.layer_zip]
}

run "from_a_bucket" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip      = null
    layer_s3       = { bucket = "artifacts", key = "engines/fluxio-layer-0.1.9-x86_64.zip", version = "v7" }
    parameter_name = "/fluxio/layer"
  }

  assert {
    condition     = [aws_lambda_layer_version.engine[0].s3_bucket, aws_lambda_layer_version.engine[0].s3_key, aws_lambda_layer_version.engine[0].s3_object_version] == ["artifacts", "engines/fluxio-layer-0.1.9-x86_64.zip", "v7"] && aws_lambda_layer_version.engine[0].filename == null
    error_message = "Lambda takes the zip from the bucket, and nothing of it is needed here"
  }

  assert {
    condition     = aws_lambda_layer_version.engine[0].description == "fluxio engine 0.1.9"
    error_message = "what its name tells is told of the layer"
  }

  assert {
    condition     = aws_ssm_parameter.layer_arn[0].name == "/fluxio/layer" && output.parameter_name == "/fluxio/layer"
    error_message = "and other stacks find it by the parameter"
  }
}

run "from_a_bucket_and_of_another_series_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = null
    layer_s3  = { bucket = "artifacts", key = "fluxio-layer-0.0.1-x86_64.zip" }
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "from_a_bucket_and_for_another_processor_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = null
    layer_s3  = { bucket = "artifacts", key = "fluxio-layer-0.1.0-arm64.zip" }
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "from_a_bucket_and_from_a_file_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_s3 = { bucket = "artifacts", key = "layer.zip" }
  }

  expect_failures = [aws_lambda_layer_version.engine]
}

run "from_a_bucket_and_published_already_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_zip = null
    layer_arn = "arn:aws:lambda:eu-west-1:123456789012:layer:fluxio:7"
    layer_s3  = { bucket = "artifacts", key = "layer.zip" }
  }

  expect_failures = [data.aws_lambda_layer_version.published]
}

run "by_a_parameter_or_a_bucket_that_cannot_be_is_refused" {
  command = plan

  module {
    source = "./modules/layer"
  }

  variables {
    layer_s3       = { bucket = "Artifacts", key = "layer.zip" }
    parameter_name = "ssm"
  }

  expect_failures = [var.layer_s3, var.parameter_name]
}

run "without_a_parameter_there_is_none" {
  command = plan

  module {
    source = "./modules/layer"
  }

  assert {
    condition     = length(aws_ssm_parameter.layer_arn) == 0 && output.parameter_name == null
    error_message = "nothing is made that was not asked for"
  }
}
