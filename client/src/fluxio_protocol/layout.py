"""The layout of the table: keys, names and values. How a run stands in its item is in `run_item`.

    pk                        sk                    what
    <run id>                  run                   the run: everything a worker must know to go on
    <run id>                  input                 the run's input, where it is too long for the run item
    <run id>                  out#<step>#<attempt>  a step's output, where it is too long for the run item
    <run id>                  result                the run's result, where several long outputs make it
    <run id>                  state#<step>#<n>      what attempt n of a step keeps for its next round, likewise
    <run id>                  signal#<name>         a signal's payload, where it is too long for the run item
    <run id>                  ended#<n>             an archive: steps that succeeded and are sealed
    def#<workflow>#<version>  def                   the graph of one version of a workflow

Values from outside (input, outputs, result, errors) are JSON text, so that what a step gets is exactly what
JSON says, and costs what it shows. Times are milliseconds since 1970; `ttl` is seconds, as DynamoDB asks.

The run item is written whole for each transition's price of one write unit a kilobyte begun
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html), so whatever
is long stands in an item of its own and whatever a step no longer needs is dropped when it ends.
"""

from __future__ import annotations

import json
import re
import zlib
from decimal import Decimal
from typing import Any, NamedTuple

from fluxio_protocol import encoding
from fluxio_protocol.errors import InvalidInput, PayloadError

Item = dict[str, dict[str, Any]]

#: The status of what has none, in the form that a later version of fluxio gives it.
UNKNOWN = "UNKNOWN"

RUN = "run"
INPUT = "input"
RESULT = "result"
DEFINITION = "def"

INDEX_BY_WORKFLOW = "by_workflow"
INDEX_DUE = "due"
INDEX_FAILED = "failed"


class Index(NamedTuple):
    """A global secondary index: its key, and the attributes that it has besides the keys."""

    hash_key: str
    range_key: str
    projected: tuple[str, ...] = ()


#: The table's indexes, as `table.tf` of the module makes them. What an index has besides its keys is written
#: again with each change of it, so `by_workflow` has nothing: a listing reads the runs themselves.
INDEXES = {
    INDEX_BY_WORKFLOW: Index("workflow_shard", "created_at"),
    INDEX_DUE: Index("due", "wake_at"),
    INDEX_FAILED: Index("failed", "ended_at", ("status", "created_at")),
}

#: The types of all keys: those of the table and those of the indexes.
KEY_TYPES = {
    "pk": "S",
    "sk": "S",
    "workflow_shard": "S",
    "created_at": "N",
    "due": "N",
    "wake_at": "N",
    "failed": "S",
    "ended_at": "N",
}

#: What a listing shows of a run: the attributes of the run item that `summary_from_item` reads.
SUMMARY = ("pk", "workflow", "status", "created_at", "ended_at")

#: Both `by_workflow` and `due` are spread over this many partitions: one takes 1,000 write units a second.
SHARDS = 8

#: Bytes of an input, a signal's payload or a joint result that stand in the run item; longer ones get an item
#: of their own. Where an output stands is in `values`.
INLINE_BYTES = 400

#: Bytes of JSON of the progress that a step reports; it stands in the run item, which each write pays for.
PROGRESS_BYTES = 200

#: Bytes of JSON that fit an item of their own: DynamoDB's 400 KB less its keys and some room.
PAYLOAD_BYTES = 390_000

#: Days that an item with a long value is kept at the least while its run is open. When the run ends, the item's
#: `ttl` is set to the run's; only if that fails for good does it stay so long.
PAYLOAD_DAYS = 400

#: Different signals that the steps of one workflow may await; and as many may reach a run before a worker has
#: opened it, when it is not known yet which it awaits. Each may take INLINE_BYTES of the run item.
MAX_SIGNALS = 150

#: Before a signal's name: the attribute of the run item with its payload; "" if that has an item of its own.
_SIGNAL = "signal:"

#: Before a step's name: the attribute of the run item with the runs that it has started.
_STARTED = "started:"

_SIGNAL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_WORKFLOW = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def shard(run_id: str) -> int:
    """The partition of the sharded indexes that a run is in."""
    return zlib.crc32(run_id.encode()) % SHARDS


def workflow_shard(workflow: str, number: int) -> str:
    """The hash key of `by_workflow`."""
    return f"{workflow}#{number}"


class Address(NamedTuple):
    """An item that rows of the transition table may change: a run's own, or a part of the run's."""

    run_id: str
    #: Its sort key.
    part: str = RUN

    @classmethod
    def of(cls, at: Address | str) -> Address:
        """The address itself, or that of the run item of a run id."""
        return at if isinstance(at, Address) else cls(at)


def run_key(at: Address | str) -> Item:
    """The key of the run item of a run id, or of the item at an address."""
    run_id, part = Address.of(at)
    return {"pk": {"S": run_id}, "sk": {"S": part}}


def definition_key(workflow: str, version: str) -> Item:
    """The key of a stored graph."""
    return {"pk": {"S": f"def#{workflow}#{version}"}, "sk": {"S": DEFINITION}}


def output_ref(step: str, attempt: int) -> str:
    """The sort key of an output item. An attempt is held by one worker only, so none overwrites another's."""
    return f"out#{step}#{attempt}"


def archive_ref(number: int) -> str:
    """The sort key of a run's archive, from 1."""
    return f"ended#{number}"


def check_run_id(run_id: object) -> str:
    """The id, if it can be a run's.

    Raises:
        InvalidInput: it is empty, too long for a message's deduplication id, or has other characters.
    """
    if not isinstance(run_id, str):
        raise InvalidInput(
            f"the run id is a {type(run_id).__name__}, not a string: pass the `run_id` of a run."
        )
    if not _RUN_ID.fullmatch(run_id):
        raise InvalidInput(
            f"run id {run_id!r}: use 1 to 64 letters, digits, '.', '_', ':' or '-', "
            "beginning with a letter or digit."
        )
    return run_id


def check_workflow(workflow: object) -> str:
    """The name, if it can be a workflow's.

    Raises:
        InvalidInput: it is not 1 to 64 letters, digits, '_', '.' or '-'.
    """
    if not isinstance(workflow, str) or not _WORKFLOW.fullmatch(workflow):
        raise InvalidInput(
            f"workflow name {workflow!r}: use 1 to 64 letters, digits, '_', '.' or '-', "
            "beginning with a letter or '_'."
        )
    return workflow


def check_signal(name: object) -> str:
    """The name, if it can be a signal's: it can be a parameter's, too.

    Raises:
        InvalidInput: it is not 1 to 40 ASCII letters, digits or '_'.
    """
    if not isinstance(name, str) or not _SIGNAL_NAME.fullmatch(name):
        raise InvalidInput(
            f"signal name {name!r}: use 1 to 40 letters, digits or '_', beginning with a letter or '_'."
        )
    return name


def started_attribute(step: str) -> str:
    """The attribute of the run item that says which runs a step has started."""
    return f"{_STARTED}{step}"


def starter_of(attribute: str) -> str | None:
    """The step whose started runs an attribute of the run item has; None if it is another attribute."""
    return attribute[len(_STARTED) :] if attribute.startswith(_STARTED) else None


def signal_attribute(name: str) -> str:
    """The attribute of the run item that says that a signal has arrived."""
    return f"{_SIGNAL}{name}"


def signal_of(attribute: str) -> str | None:
    """The signal whose arrival an attribute of the run item stands for; None if it is another attribute."""
    return attribute[len(_SIGNAL) :] if attribute.startswith(_SIGNAL) else None


def lapsed_signal(at: int, default: str | None) -> dict[str, str | int]:
    """What stands in the place of a signal's payload that had not come in time.

    Args:
        at: when its timeout was over.
        default: what is bound instead, as JSON; None: the steps that wait for it fail.
    """
    return {"lapsed": at} if default is None else {"lapsed": at, "default": default}


def state_ref(step: str, attempt: int) -> str:
    """The sort key of a step's state that is too long for the run item, by the attempt that kept it."""
    return f"state#{step}#{attempt}"


def signal_ref(name: str) -> str:
    """The sort key of a signal's payload that is too long for the run item."""
    return f"signal#{name}"


def encode(value: Any, what: str) -> str:
    """A value as JSON text. What JSON does not know (models, dates, decimals …) goes through pydantic.

    It is the value that was handed over, or an error: see `encoding`.

    Raises:
        PayloadError: the value cannot be JSON, or is longer than an item may be.
    """
    place = ""
    try:
        tree = encoding.to_tree(value)
        text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError, encoding.Unstorable) as error:
        # UnicodeEncodeError is a ValueError too.
        if isinstance(error, encoding.Unstorable):
            place = error.place
        elif not isinstance(error, RecursionError):
            place = _place(tree)
        raise PayloadError(
            f"{what} cannot be stored as JSON{place and f' (at {place})'}: {error}. Use dicts, lists, strings, "
            "numbers, booleans, None, or types that pydantic can serialise."
        ) from error
    if size > PAYLOAD_BYTES:
        raise PayloadError(
            f"{what} is {size:,} bytes of JSON; at most {PAYLOAD_BYTES:,} fit a DynamoDB item. "
            "Store it elsewhere, in S3 for example, and hand over its key."
        )
    return text


def _place(tree: Any) -> str:
    """Where the part stands that cannot be JSON text: half a surrogate, a number of too many digits."""
    place = ""
    while isinstance(tree, (dict, list)):
        for name, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            try:
                json.dumps(part, ensure_ascii=False).encode()
            except ValueError:
                place, tree = f"{place}[{name!r}]", part
                break
        else:
            break
    return place


def fits_inline(text: str) -> bool:
    """Whether an input, a signal's payload or a result of several steps stands in the run item."""
    return len(text.encode()) <= INLINE_BYTES


def value(of: str | int | dict[str, Any] | None) -> dict[str, Any]:
    """A Python value as DynamoDB's wire format has it."""
    if isinstance(of, str):
        return {"S": of}
    if isinstance(of, int):
        return {"N": str(of)}
    if isinstance(of, dict):
        return {"M": {name: value(part) for name, part in of.items() if part is not None}}
    raise TypeError(f"no attribute of a run is a {type(of).__name__}")


def plain(of: dict[str, Any]) -> Any:
    """The value behind DynamoDB's wire format; a kind that `value` does not write comes as it is."""
    kind, content = next(iter(of.items()))
    if kind == "S":
        return content
    if kind == "N":
        return int(Decimal(content))
    if kind == "M":
        return {name: plain(part) for name, part in content.items()}
    return content
