"""An order is paid; its receipt is written, and in two weeks the customer is asked for a review."""
