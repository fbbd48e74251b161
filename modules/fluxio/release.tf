# Which release this is. What a layer must have to fit it: modules/layer/release.tf.

locals {
  version = "0.1.0" # stamped from VERSION by `python -m dev.version`
}
