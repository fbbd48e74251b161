"""A job of another service is submitted, and asked about until it is done."""
