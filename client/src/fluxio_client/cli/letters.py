"""The messages of the dead-letter queue and their runs, as `fluxio dlq` and the page read and delete them."""

from __future__ import annotations

from typing import NamedTuple

from botocore.exceptions import ClientError

from fluxio_client.cli.failures import is_denied, missing_action
from fluxio_client.cli.moments import length
from fluxio_client.cli.session import Session
from fluxio_client.dead_letters import HOLD, DeadLetters
from fluxio_protocol.errors import MalformedNudge, SettingError
from fluxio_protocol.queue import Nudge, Queue, Received
from fluxio_protocol.run import Run


class Letter(NamedTuple):
    """A dead letter, the run it is about, and how that stands now."""

    message: Received
    nudge: Nudge | None
    #: Why it is no nudge.
    malformed: str | None = None
    run: Run | None = None

    @property
    def useful(self) -> bool:
        """Whether a redrive can do something with it."""
        return self.run is not None or (
            self.nudge is not None and self.nudge.input_json is not None
        )


class Read(NamedTuple):
    """What was read of the dead-letter queue."""

    letters: list[Letter]
    #: Why messages could not be given back, so that they stay hidden from others for a while.
    refusal: ClientError | None


class Purged(NamedTuple):
    """How many messages were deleted, and how many were not."""

    deleted: int
    kept: int
    refusal: ClientError | None


def dead_letter_url(session: Session) -> str:
    """The dead-letter queue, as the redrive policy of the queue names it.

    Raises:
        SettingError: the queue has no redrive policy.
    """
    url = session.nudges.dead_letter_queue_url()
    if url is None:
        raise SettingError(
            f"the queue {session.queue} has no redrive policy, so its dead-letter queue is not known: say "
            "--dlq-url, and see what `terraform plan` would mend."
        )
    return url


def about(session: Session, url: str) -> int:
    """About how many messages the queue holds; SQS counts roughly."""
    return int(Queue(session.sqs, url).attributes().get("ApproximateNumberOfMessages", 0))


def read_letters(session: Session, url: str, limit: int) -> Read:
    """The messages with their runs; others see them again at once."""
    letters: list[Letter] = []
    with (
        session.progress("reading the dead-letter queue", min(limit, about(session, url))) as bar,
        DeadLetters(Queue(session.sqs, url)) as dead,
    ):
        for message in dead.messages(limit):
            letters.append(_letter(session, message))
            bar.advance()
    return Read(letters, dead.refusal)


def purge_letters(session: Session, url: str, useless: bool, limit: int) -> Purged:
    """Delete messages: all of them, or those of no run in the table."""
    deleted = kept = 0
    with (
        session.progress("deleting", min(limit, about(session, url))) as bar,
        DeadLetters(Queue(session.sqs, url)) as dead,
    ):
        for message in dead.messages(limit):
            if useless and _letter(session, message).useful:
                kept += 1
            else:
                dead.delete(message)
                deleted += 1
            bar.advance()
    return Purged(deleted, kept, dead.refusal)


def hidden(refusal: ClientError) -> str:
    """What to say of messages that were looked at and could not be given back."""
    why = f"AWS refuses {refusal.operation_name}"
    if is_denied(refusal):
        why = f"AWS denies {missing_action(refusal)}"
    return f"{why}, so the messages stay hidden from others for up to {length(HOLD)}"


def _nudge(message: Received) -> tuple[Nudge | None, str | None]:
    try:
        return Nudge.from_json(message.body), None
    except MalformedNudge as error:
        return None, str(error)


def _letter(session: Session, message: Received) -> Letter:
    nudge, why = _nudge(message)
    return Letter(message, nudge, why, session.store.read(nudge.run_id) if nudge else None)
