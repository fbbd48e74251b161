# What Auto Scaling has set, modules/capacity. Offline: what AWS would answer is said here.

mock_provider "aws" {}

variables {
  name = "orders"
}

run "of_a_table_that_is_yet_to_be_made" {
  command = plan

  module {
    source = "./modules/capacity"
  }

  override_data {
    target = data.aws_dynamodb_tables.all
    values = { names = ["others"] }
  }

  assert {
    condition     = length(output.current) == 0
    error_message = "there is nothing to tell"
  }
}

run "where_there_is_no_table_at_all" {
  command = plan

  module {
    source = "./modules/capacity"
  }

  override_data {
    target = data.aws_dynamodb_tables.all
    values = { names = null }
  }

  assert {
    condition     = length(output.current) == 0
    error_message = "the provider tells no names then, and there is nothing to tell"
  }
}

run "of_a_table_that_is_there" {
  command = plan

  module {
    source = "./modules/capacity"
  }

  override_data {
    target = data.aws_dynamodb_tables.all
    values = { names = ["others", "orders-runs"] }
  }

  override_data {
    target = data.aws_dynamodb_table.runs
    values = {
      read_capacity  = 17
      write_capacity = 40
      global_secondary_index = [
        { name = "by_workflow", read_capacity = 1, write_capacity = 4 },
        { name = "due", read_capacity = 18, write_capacity = 5 },
      ]
    }
  }

  assert {
    condition = jsonencode(output.current) == jsonencode({
      by_workflow = { read = 1, write = 4 }
      due         = { read = 18, write = 5 }
      table       = { read = 17, write = 40 }
    })
    error_message = "the capacity of the table and of its indexes is what billing.current takes"
  }
}
