"""What a step may ask of the attempt it runs in: the parameter named `ctx`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fluxio.errors import TransactError
from fluxio.transaction import KINDS, refusals


@dataclass(frozen=True)
class StepContext:
    """One attempt of a step.

    Attributes:
        run_id: the run.
        workflow: the run's workflow.
        step: the step.
        attempt: which try this is, from 1.
        deadline: when the attempt times out, in milliseconds since 1970.
    """

    run_id: str
    workflow: str
    step: str
    attempt: int
    deadline: int
    operations: list[dict[str, Any]] = field(default_factory=list, repr=False)
    #: The table with fluxio's runs.
    table: str = field(default="", repr=False)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step in this run, and for no other: for APIs that take one."""
        return f"{self.run_id}/{self.step}"

    def transact(self, *operations: Mapping[str, Any]) -> None:
        """Let DynamoDB writes of your own commit with this step: all of them if it succeeds, or none.

        They are kept until the step returns and then go into one TransactWriteItems with its completion,
        so their effect is exactly once, whatever dies when. The worker's role needs the rights to them.

        Args:
            operations: entries of TransactItems as boto3's client takes them, such as
                `{"Update": {"TableName": …, "Key": …, "UpdateExpression": …}}`; Put, Update, Delete and
                ConditionCheck. In one attempt at most 99, each on an item of its own that no other one
                touches, 3.6 MB in all, and none on fluxio's own table.

        Raises:
            TransactError: an entry is none of these, or DynamoDB would refuse it for its size or together
                with the others. What depends on the items in the table is known when the step commits.
        """
        where = f"ctx.transact in run {self.run_id} step {self.step}"
        for operation in operations:
            kinds = list(operation)
            if len(kinds) != 1 or kinds[0] not in KINDS:
                raise TransactError(
                    f"{where}: an operation has the keys {kinds}; give it exactly one of {', '.join(KINDS)}."
                )
        together = [*self.operations, *map(dict, operations)]
        if refusal := next(refusals(together, self.table), None):
            raise TransactError(f"{where}: {refusal}.")
        self.operations[:] = together
