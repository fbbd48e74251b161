"""All products of a shop's API are written to a table, page by page."""
