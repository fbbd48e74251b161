output "current" {
  description = "Capacity of the table and of each index as it stands, by name; empty before the table is made, and with on-demand billing all zero."
  value = merge([
    for table in data.aws_dynamodb_table.runs : merge(
      { table = { read = table.read_capacity, write = table.write_capacity } },
      { for index in table.global_secondary_index : index.name => { read = index.read_capacity, write = index.write_capacity } },
    )
  ]...)
}
