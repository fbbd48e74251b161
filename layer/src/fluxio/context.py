"""What a step may ask of the attempt it runs in: the parameter named `ctx`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fluxio.errors import TransactError

_KINDS = ("Put", "Update", "Delete", "ConditionCheck")

#: TransactWriteItems takes 100 items, and one is the run's own.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MAX_OPERATIONS = 99


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
                ConditionCheck; at most 99 in one attempt.

        Raises:
            TransactError: an entry is none of these, or there are too many.
        """
        for operation in operations:
            kinds = list(operation)
            if len(kinds) != 1 or kinds[0] not in _KINDS:
                raise TransactError(
                    f"ctx.transact in run {self.run_id} step {self.step}: an operation has the keys "
                    f"{kinds}; give it exactly one of {', '.join(_KINDS)}."
                )
            self.operations.append(dict(operation))
        if len(self.operations) > MAX_OPERATIONS:
            raise TransactError(
                f"ctx.transact in run {self.run_id} step {self.step}: {len(self.operations)} "
                f"operations; at most {MAX_OPERATIONS} fit one transaction with the step's completion."
            )
