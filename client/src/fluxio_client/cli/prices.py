"""List prices, in one table: what the figures of `fluxio cost` stand on.

As AWS published them in 2026 for us-east-1, on demand, first tier, without the free tier. Prices change, and
differ by Region: hold these against the pages named before money depends on them.
"""

from __future__ import annotations

from typing import NamedTuple

REGION = "us-east-1"
AS_OF = "2026"

_AWS = "https://aws.amazon.com"


class Price(NamedTuple):
    """A price in dollars, for so many units."""

    dollars: float
    per: int
    unit: str
    source: str

    def of(self, units: float) -> float:
        """Dollars for so many units."""
        return self.dollars * units / self.per


PRICES: dict[str, Price] = {
    "dynamodb_write": Price(0.625, 10**6, "write units", f"{_AWS}/dynamodb/pricing/on-demand/"),
    "dynamodb_read": Price(0.125, 10**6, "read units", f"{_AWS}/dynamodb/pricing/on-demand/"),
    "sqs_fifo": Price(0.50, 10**6, "requests", f"{_AWS}/sqs/pricing/"),
    "lambda_request": Price(0.20, 10**6, "invocations", f"{_AWS}/lambda/pricing/"),
    "lambda_x86_64": Price(0.0000166667, 1, "GB-seconds", f"{_AWS}/lambda/pricing/"),
    "lambda_arm64": Price(0.0000133334, 1, "GB-seconds", f"{_AWS}/lambda/pricing/"),
    "step_functions": Price(25.0, 10**6, "state transitions", f"{_AWS}/step-functions/pricing/"),
    "durable_operation": Price(8.0, 10**6, "durable operations", f"{_AWS}/lambda/pricing/"),
}
