# What Auto Scaling has set, for `billing.current` of ../..:
#
#     module "capacity" {
#       source = "<where the fluxio module comes from>//modules/capacity"
#       name   = "orders"
#     }
#
#     module "fluxio" {
#       …
#       name    = "orders"
#       billing = { mode = "PROVISIONED", read = { … }, write = { … }, current = module.capacity.current }
#     }
#
# It is a module of its own because it looks things up. A `depends_on` of the fluxio module would put that off until the apply,
# when the number of what is looked up must long be known: keep `depends_on` away from this one.

# A table can only be read once it is there, and the first plan comes before that.
data "aws_dynamodb_tables" "all" {}

data "aws_dynamodb_table" "runs" {
  # Where there is no table at all, the names are null.
  count = try(contains(data.aws_dynamodb_tables.all.names, "${var.name}-runs"), false) ? 1 : 0

  name = "${var.name}-runs"
}
