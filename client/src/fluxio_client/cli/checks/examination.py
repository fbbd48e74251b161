"""One look at a deployment; what is asked for twice is read once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from fluxio_client.cli.failures import concerns_every_call
from fluxio_client.cli.session import Session
from fluxio_client.cli.worker_log import mappings_of
from fluxio_protocol.errors import SettingError


class Examination:
    """One look at a deployment; what is asked for twice is read once."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def reach(self) -> None:
        """Ask AWS for the table. Without Region, credentials or endpoint no check could say more than that.

        What is wrong with the table itself is for the checks to say.

        Raises:
            SettingError: it is no AWS that answers, nor what plays all of it.
        """
        try:
            self.session.dynamodb.describe_table(TableName=self.session.table)
        except ClientError as error:
            if error.response["Error"]["Code"] == "UnknownOperationException":
                said = error.response["Error"].get("Message", "")
                raise SettingError(
                    f"there is no deployment to look at where AWS_ENDPOINT_URL leads: {said}."
                ) from None
            if concerns_every_call(error):
                raise

    @cached_property
    def lambda_(self) -> Any:
        return self.session.aws("lambda")

    @cached_property
    def queue(self) -> dict[str, str]:
        return self.session.nudges.attributes()

    @cached_property
    def mappings(self) -> list[dict[str, Any]]:
        """The event source mappings that take from the queue."""
        return mappings_of(self.lambda_, self.queue["QueueArn"])

    @cached_property
    def worker(self) -> dict[str, Any] | None:
        """The configuration of the function that takes from the queue; None without one."""
        if not self.mappings:
            return None
        arn = self.mappings[0]["FunctionArn"]
        found: dict[str, Any] = self.lambda_.get_function_configuration(FunctionName=arn)
        return found


def last(arn: str, parts: int = 1) -> str:
    return ":".join(arn.split(":")[-parts:])


def unqualified(arn: str) -> str:
    """A function's ARN without version or alias."""
    return ":".join(arn.split(":")[:7])
