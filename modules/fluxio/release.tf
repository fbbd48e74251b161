# Which release this is, and the layer that belongs to it. Module and layer write and read one table layout, so they go
# together: a release's zip carries its layer inside, and one pinned `source` brings both. In the repository there is
# none, and layer_zip or layer_arn says where it is.

locals {
  version = "0.1.0" # stamped from VERSION by `python -m dev.version`

  own_layer_zip = "${path.module}/layer/fluxio-layer-${local.version}-${var.architecture}.zip"
  layer_zip     = var.layer_zip == null && var.layer_arn == null && fileexists(local.own_layer_zip) ? local.own_layer_zip : var.layer_zip

  # Releases of one series fit together. By Semantic Versioning that is the major version, and before 1.0, when every
  # minor version may break, the minor. A layer_zip of another name, or a layer_arn, tells nothing and is taken as it is.
  series         = join(".", local.version_parts[0] == "0" ? local.version_parts : slice(local.version_parts, 0, 1))
  version_parts  = regex("^([0-9]+)[.]([0-9]+)[.]", local.version)
  layer_parts    = try(regex("^fluxio-layer-([0-9]+)[.]([0-9]+)[.]", basename(local.layer_zip)), null)
  layer_series   = local.layer_parts == null ? null : join(".", local.layer_parts[0] == "0" ? local.layer_parts : slice(local.layer_parts, 0, 1))
  layer_fits     = local.layer_series == null || local.layer_series == local.series
  layer_zip_name = local.layer_zip == null ? "-" : basename(local.layer_zip)
}
