# Which release this is, and the layer that belongs to it. Module and layer write and read one table layout, so they go
# together: a release's zip carries its layer inside, and one pinned `source` brings both. In the repository there is
# none, and layer_zip or layer_arn says where it is.

locals {
  version = "0.1.0" # stamped from VERSION by `python -m dev.version`

  own_zip     = "${path.module}/../../layer/fluxio-layer-${local.version}-${var.architecture}.zip"
  zip         = var.layer_zip == null && fileexists(local.own_zip) ? local.own_zip : var.layer_zip
  zip_name    = try(basename(coalesce(try(var.layer_s3.key, null), local.zip)), "-")
  zip_version = try(regex("^fluxio-layer-([0-9].*)-(?:x86_64|arm64)[.](?:zip|ZIP)$", local.zip_name)[0], "")

  # Releases of one series fit together. By Semantic Versioning that is the major version, and before 1.0, when every
  # minor version may break, the minor. A zip of another name, or a layer of another description, tells nothing and is
  # taken as it is.
  series        = join(".", local.version_parts[0] == "0" ? local.version_parts : slice(local.version_parts, 0, 1))
  version_parts = regex("^([0-9]+)[.]([0-9]+)[.]", local.version)
}
