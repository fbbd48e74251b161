"""Two versions of fluxio at one table and queue: this one in the test's process, the one before in its own."""
