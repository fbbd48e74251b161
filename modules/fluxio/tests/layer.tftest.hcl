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
