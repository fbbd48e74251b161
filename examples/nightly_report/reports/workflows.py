"""A report on a day's sales, made each night."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from fluxio import StepContext, step, workflow


@workflow
class SalesReport:
    @step
    def find_day(self, at: datetime) -> dict:
        """The day before the schedule's time, which is the same in each attempt."""
        return {"day": (at.date() - timedelta(days=1)).isoformat()}

    @step(depends_on=["find_day"], retry=3)
    def add_up(self, day: date, regions: list[str]) -> dict:
        return {"sales": {region: 100 * len(region) * day.day for region in regions}}

    @step(depends_on=["find_day", "add_up"], retry=3)
    def publish(self, day: date, sales: dict[str, int], ctx: StepContext) -> dict:
        # A real step would write the report under that name: a second attempt writes the same once more.
        return {"report": f"sales-{day}", "total": sum(sales.values())}
