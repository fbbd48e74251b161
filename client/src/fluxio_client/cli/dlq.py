"""`fluxio dlq`: the messages that nobody could act on, and the runs they are about.

Looking does not consume: what is received is given back at once. A message is only a nudge, so losing
one loses no run; but it tells where something went wrong.
"""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import ClientError
from rich.text import Text

from fluxio_client.cli.colours import look
from fluxio_client.cli.columns import Row, table
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.letters import (
    Letter,
    about,
    dead_letter_url,
    hidden,
    purge_letters,
    read_letters,
)
from fluxio_client.cli.moments import both, length, local
from fluxio_client.cli.records import Record, failure_record
from fluxio_client.cli.session import Session

_DlqUrl = Annotated[
    str | None,
    typer.Option(
        envvar="FLUXIO_DLQ_URL",
        help="The module's output `dlq_url`. Default: found from the queue's redrive policy.",
        rich_help_panel="Deployment",
    ),
]
_Limit = Annotated[int, typer.Option(help="At most so many messages.", min=1)]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def list_(session: Session, dlq_url: _DlqUrl = None, limit: _Limit = 100) -> None:
    """List the dead letters with the state of their runs; consumes nothing.

    Example: fluxio dlq list
    """
    url = dlq_url or dead_letter_url(session)
    letters = _read(session, url, limit)
    now = session.now
    if session.json:
        session.print_json({"dlq_url": url, "messages": [_record(letter) for letter in letters]})
        return
    if not letters:
        session.note("the dead-letter queue is empty")
        return
    rows = [
        Row(
            (
                letter.message.message_id[:8],
                local(letter.message.sent_at, now),
                letter.nudge.run_id if letter.nudge else "-",
                _state(letter),
            ),
            _remark(letter),
        )
        for letter in letters
    ]
    session.print_lines(table(("message", "since", "run", "run is"), rows, session.out.width))
    if any(letter.useful for letter in letters):
        then = "send all on with `fluxio dlq redrive`"
    else:
        then = "none of them is a nudge of a run in the table: delete them with `fluxio dlq purge --useless`"
    session.note(f"read one with `fluxio dlq show MESSAGE`; {then}")


def show(
    session: Session,
    message: Annotated[
        str, typer.Argument(help="The id of a message, its beginning, or the id of its run.")
    ],
    dlq_url: _DlqUrl = None,
    limit: _Limit = 1000,
) -> None:
    """Show dead letters in full; consumes nothing.

    Example: fluxio dlq show order-o-1001
    """
    url = dlq_url or dead_letter_url(session)
    letters = [
        letter
        for letter in _read(session, url, limit)
        if letter.message.message_id.startswith(message)
        or (letter.nudge is not None and letter.nudge.run_id == message)
    ]
    if not letters:
        raise NotFound(
            f"no message of the dead-letter queue begins with {message!r} or is about such a run: see "
            "`fluxio dlq list`. Another caller may be looking at it just now."
        )
    if session.json:
        session.print_json({"dlq_url": url, "messages": [_record(letter) for letter in letters]})
        return
    now = session.now
    for letter in letters:
        found = letter.message
        age = "" if found.sent_at is None else f", {length((now - found.sent_at) / 1000)} ago"
        session.out.print(Text(f"message {found.message_id}", style="bold"))
        session.out.print(f"  there since   {local(found.sent_at, now)}{age}")
        session.out.print(f"  group         {found.group_id or '-'}", soft_wrap=True)
        session.out.print(f"  body          {found.body}", soft_wrap=True)
        session.out.print(Text.assemble("  run is        ", _state(letter)))
        if remark := _remark(letter):
            session.out.print(Text.assemble("                ", remark), soft_wrap=True)


def redrive(
    session: Session,
    dlq_url: _DlqUrl = None,
    limit: _Limit = 10_000,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Accepted as by the other commands; nothing is asked."),
    ] = False,
) -> None:
    """Nudge the runs of the dead letters again, and delete these messages.

    A message is sent before it is deleted, so the command can be repeated safely, wherever it broke off.
    What is no nudge of fluxio's stays, and so does a nudge of a run that is not in the table.

    Example: fluxio dlq redrive
    """
    del yes  # what can be repeated safely needs no question
    url = dlq_url or dead_letter_url(session)
    with session.progress("redriving", min(limit, about(session, url))) as bar:
        done = session.client.redrive_dead_letters(url, limit, seen=bar.advance)
    if session.json:
        session.print_json(
            {
                "dlq_url": url,
                "nudged": done.nudged,
                "malformed": done.malformed,
                "unknown": done.unknown,
            }
        )
        return
    session.out.print(f"{_messages(done.nudged)} sent on and deleted")
    for count, what in ((done.malformed, "malformed"), (done.unknown, "of unknown runs")):
        if count:
            session.note(f"{_messages(count)} {what}: still there")
    if done.malformed or done.unknown:
        session.note("see them with `fluxio dlq list`; `fluxio dlq purge --useless` deletes them")


def purge(
    session: Session,
    dlq_url: _DlqUrl = None,
    useless: Annotated[
        bool,
        typer.Option(
            "--useless", help="Only what a redrive leaves: no nudges, or of runs not in the table."
        ),
    ] = False,
    limit: _Limit = 10_000,
    yes: _Yes = False,
) -> None:
    """Delete the dead letters without nudging their runs; the sweeper still finds runs that are open.

    Example: fluxio dlq purge --useless --yes
    """
    url = dlq_url or dead_letter_url(session)
    which = "the useless messages"
    if not useless:
        which = f"all messages (about {about(session, url)})"
    session.confirm(f"Delete {which} of {url} for good?", yes)
    purged = purge_letters(session, url, useless, limit)
    _say_if_hidden(session, purged.refusal)
    if session.json:
        session.print_json({"dlq_url": url, "deleted": purged.deleted, "kept": purged.kept})
    else:
        session.out.print(
            f"{_messages(purged.deleted)} deleted"
            + (f", {purged.kept} kept" if purged.kept else "")
        )


def _read(session: Session, url: str, limit: int) -> list[Letter]:
    read = read_letters(session, url, limit)
    _say_if_hidden(session, read.refusal)
    return read.letters


def _say_if_hidden(session: Session, refusal: ClientError | None) -> None:
    """What was looked at and could not be given back."""
    if refusal is not None:
        session.err.print(hidden(refusal), soft_wrap=True)


def _state(letter: Letter) -> Text:
    if letter.run is not None:
        return Text(letter.run.status, style=look(letter.run.status).style)
    return Text("unknown" if letter.nudge else "-", style="dim")


def _remark(letter: Letter) -> Text:
    if letter.malformed:
        return Text(f"no nudge: {letter.malformed}", style="red")
    if letter.run is None and letter.useful:
        return Text("its schedule's run was not started yet: a redrive starts it", style="dim")
    if letter.run is None:
        return Text(
            "there is no such run: it was never started, or its retention is over", style="dim"
        )
    if letter.run.error is not None:
        return Text(str(letter.run.error), style="red")
    step = letter.nudge.step if letter.nudge else None
    return Text(f"{letter.run.workflow}{f', step {step}' if step else ''}", style="dim")


def _record(letter: Letter) -> Record:
    message, nudge, run = letter.message, letter.nudge, letter.run
    return {
        "message_id": message.message_id,
        **both("sent_at", message.sent_at),
        "group_id": message.group_id,
        "receives": message.receives,
        "body": message.body,
        "malformed": letter.malformed,
        "run_id": nudge.run_id if nudge else None,
        "step": nudge.step if nudge else None,
        "run": {
            "workflow": run.workflow,
            "status": run.status.value,
            "error": failure_record(run.error),
        }
        if run
        else None,
    }


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"
