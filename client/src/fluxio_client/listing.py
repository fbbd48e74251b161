"""Listings of runs: an order by time across the shards of an index, a page at a time.

The index `by_workflow` has no statuses, so they are read from the runs themselves, 100 in a call. Open runs are
found in `due`, which holds nothing else, failed ones in `failed`.
"""

from __future__ import annotations

import heapq
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import Any, NamedTuple

from fluxio_protocol import layout, run_item
from fluxio_protocol.calls import BATCH_KEYS
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.run import Page, RunStatus, RunSummary
from fluxio_protocol.store import Store

#: What milliseconds since 1970 may be, as times of a listing; a time in seconds is far below.
EARLIEST, LATEST = 10**11, 10**14

#: Later than any time of a run.
EVER = 10**15

#: Statuses of runs that are in `due`.
OPEN = frozenset({RunStatus.PENDING, RunStatus.RUNNING, RunStatus.COMPENSATING})

#: Runs that one page reads at most while it looks for those in a status: 1,000 read units, if none of them
#: is longer than 4 KB.
MOST_READ = 2000

#: Open runs of all workflows up to which those of one are found in `due`; if there are more, in `by_workflow`.
MOST_OPEN = 1000

#: Entries of an index that are read in one piece, where most of them may not be what is wanted.
PIECE = 1000

#: Where a listing goes on, by shard: the last run of it that was looked at, and its time.
_Cursors = dict[str, list[Any]]


class _Entry(NamedTuple):
    """A run in the order of a listing: the newest first, those of one moment by their ids."""

    before: int
    run_id: str
    shard: int
    #: None: it is not in the table any more.
    summary: RunSummary | None = None

    @property
    def at(self) -> int:
        """When it was started; in a listing of failed runs, when it failed."""
        return -self.before


class _Window(NamedTuple):
    """The times of a page, and where each shard of it begins."""

    since: int
    until: int
    cursors: _Cursors

    def until_of(self, shard: int) -> int:
        """The latest time of runs of a shard that are still to come."""
        return self.cursors[str(shard)][1] if str(shard) in self.cursors else self.until

    def has(self, entry: _Entry) -> bool:
        """Whether a run is in the window and still to come."""
        last = self.cursors.get(str(entry.shard))
        comes = last is None or (entry.before, entry.run_id) > (-last[1], last[0])
        return comes and self.since <= entry.at <= self.until


def status_of(status: RunStatus | str | None) -> RunStatus | None:
    """The status that a listing is asked for; None for runs in any.

    Raises:
        InvalidInput: there is no such status.
    """
    try:
        return None if status is None else RunStatus(status)
    except ValueError:
        known = ", ".join(one for one in RunStatus if not one.startswith("COMPENSAT"))
        raise InvalidInput(f"status {status!r} is none of {known}.") from None


def times(since: datetime | int | None, until: datetime | int | None) -> tuple[int, int | None]:
    """The first and the last moment of a listing, in milliseconds since 1970; None: it has no last one.

    Raises:
        InvalidInput: one of them is no time, or `until` lies before `since`.
    """
    first, last = _milliseconds(since, "since") or 0, _milliseconds(until, "until")
    if last is not None and last < first:
        raise InvalidInput("until lies before since: no run can be between them. Exchange them.")
    return first, last


def _milliseconds(of: datetime | int | None, name: str) -> int | None:
    if of is None:
        return None
    if type(of) is int and EARLIEST <= of < LATEST:
        return of
    if not isinstance(of, datetime):
        raise InvalidInput(
            f"{name} is {of!r}: pass an aware datetime, datetime.now(timezone.utc) for example, or whole "
            "milliseconds since 1970."
        )
    if of.tzinfo is None:
        raise InvalidInput(
            f"{name} is {of!r}, which has no time zone: pass an aware datetime, "
            "datetime.now(timezone.utc) for example."
        )
    return int(of.timestamp() * 1000)


class Listing:
    """The runs of a table's workflows, by workflow or by status."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def runs(
        self,
        workflow: str,
        status: RunStatus | None = None,
        since: int = 0,
        until: int | None = None,
        limit: int = 50,
        page: str | None = None,
    ) -> Page:
        """Runs of a workflow, the newest first; see `FluxioClient.list`."""
        listing = [workflow, status.value if status else None]
        cursors: _Cursors = {}
        if page is not None:
            since, until, cursors = _read_page(page, listing)
        window = _Window(since, until if until is not None else EVER, dict(cursors))
        found: list[RunSummary] = []
        read = 0
        for entries in self._pieces(workflow, status, window, limit):
            for entry in entries:
                if entry.summary is not None and status in (None, entry.summary.status):
                    if len(found) == limit:
                        return Page(found, _write_page(listing, since, until, cursors))
                    found.append(entry.summary)
                cursors[str(entry.shard)] = [entry.run_id, entry.at]
            read += len(entries)
            if read >= MOST_READ:
                return Page(found, _write_page(listing, since, until, cursors))
        return Page(found)

    def _pieces(
        self, workflow: str, status: RunStatus | None, window: _Window, limit: int
    ) -> Iterator[list[_Entry]]:
        """What is to be looked at, in the order of the listing, piece by piece."""
        if status is RunStatus.FAILED:
            for entry in self._stream(layout.INDEX_FAILED, workflow, 0, window, limit):
                yield [entry]
            return
        if status in OPEN and (run_ids := self._few_open()) is not None:
            summaries = [one for one in self._summaries(run_ids) if one.workflow == workflow]
            yield sorted(
                entry
                for one in summaries
                if window.has(
                    entry := _Entry(-one.created_at, one.run_id, layout.shard(one.run_id), one)
                )
            )
            return
        streams = [
            self._stream(
                layout.INDEX_BY_WORKFLOW,
                layout.workflow_shard(workflow, shard),
                shard,
                window,
                limit if status is None else max(limit, MOST_READ // layout.SHARDS),
            )
            for shard in range(layout.SHARDS)
        ]
        merged = heapq.merge(*streams)
        # One more than may be shown tells whether there are more.
        size = min(limit + 1, BATCH_KEYS)
        while entries := list(islice(merged, size)):
            shown = {one.run_id: one for one in self._summaries(entry.run_id for entry in entries)}
            yield [entry._replace(summary=shown.get(entry.run_id)) for entry in entries]
            size = BATCH_KEYS

    def _few_open(self) -> list[str] | None:
        """The ids of all open runs; None if there are too many to read them all."""
        run_ids = list(islice(self.open(MOST_OPEN), MOST_OPEN + 1))
        return None if len(run_ids) > MOST_OPEN else run_ids

    def open(self, expected: int) -> Iterator[str]:
        """Ids of open runs of all workflows, in descending order of `wake_at`; read as they are taken.

        Args:
            expected: about how many will be taken.
        """
        streams = [self._open_of_shard(shard, expected) for shard in range(layout.SHARDS)]
        for _, run_id in heapq.merge(*streams):
            yield run_id

    def _open_of_shard(self, shard: int, expected: int) -> Iterator[tuple[int, str]]:
        query = {
            "IndexName": layout.INDEX_DUE,
            "KeyConditionExpression": "#due=:shard",
            "ExpressionAttributeNames": {"#due": "due"},
            "ExpressionAttributeValues": {":shard": {"N": str(shard)}},
            "ScanIndexForward": False,
            "Limit": expected + 1,
        }
        for item in self._store.calls.query(**query):
            yield -int(item["wake_at"]["N"]), item["pk"]["S"]

    def in_status(self, status: RunStatus, since: int = 0) -> Iterator[list[RunSummary]]:
        """Runs of all workflows in a status, piece by piece, in no order.

        It reads the whole of an index: of `failed`, where only failed runs are, or else of `by_workflow`,
        where every run is that the table still keeps, and each of these runs besides.
        """
        failed = status is RunStatus.FAILED
        scan: dict[str, Any] = {
            "IndexName": layout.INDEX_FAILED if failed else layout.INDEX_BY_WORKFLOW,
            "FilterExpression": "#at>=:since",
            "ExpressionAttributeNames": {"#at": "ended_at" if failed else "created_at"},
            "ExpressionAttributeValues": {":since": {"N": str(since)}},
            "Limit": PIECE,
        }
        for answer in self._store.calls.pages("scan", scan):
            if failed:
                summaries = [run_item.summary_from_item(item) for item in answer["Items"]]
            else:
                summaries = self._summaries(item["pk"]["S"] for item in answer["Items"])
            yield [one for one in summaries if one.status == status]

    def _summaries(self, run_ids: Iterable[str]) -> list[RunSummary]:
        items = self._store.calls.batch_get(run_ids, layout.SUMMARY)
        return [run_item.summary_from_item(item) for item in items.values()]

    def _stream(
        self, index: str, hash_value: str, shard: int, window: _Window, expected: int
    ) -> Iterator[_Entry]:
        """What an index has of a shard, in the order of a listing; read as it is taken."""
        key = layout.INDEXES[index]
        query: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": "#hash=:hash AND #range BETWEEN :since AND :until",
            "ExpressionAttributeNames": {"#hash": key.hash_key, "#range": key.range_key},
            "ExpressionAttributeValues": {
                ":hash": {"S": hash_value},
                ":since": {"N": str(window.since)},
                ":until": {"N": str(window.until_of(shard))},
            },
            "ScanIndexForward": False,
            # One more tells whether there are more, another one that no more have the last one's time.
            "Limit": expected + 2,
        }
        found = (
            _Entry(
                -int(item[key.range_key]["N"]),
                item["pk"]["S"],
                shard,
                run_item.summary_from_item(item),
            )
            for item in self._store.calls.query(**query)
        )
        # The index has those of one moment in an order of its own.
        for _, of_one_moment in groupby(found, lambda entry: entry.before):
            yield from filter(window.has, sorted(of_one_moment, key=lambda entry: entry.run_id))


def _write_page(listing: list[str | None], since: int, until: int | None, cursors: _Cursors) -> str:
    text = json.dumps([listing, since, until, cursors], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_page(page: str, listing: list[str | None]) -> tuple[int, int | None, _Cursors]:
    """The window of the first page, and where the next one begins.

    A window that is counted anew from now may end before a cursor, which DynamoDB refuses. So the first one
    stands.
    """
    try:
        of, since, until, at = json.loads(urlsafe_b64decode(page + "=" * (-len(page) % 4)))
        if of == listing:
            first, last = int(since), None if until is None else int(until)
            cursors: _Cursors = {
                str(int(shard)): [str(run_id), int(time)] for shard, (run_id, time) in at.items()
            }
            if all(first <= time <= (last or EVER) for _, time in cursors.values()):
                return first, last, cursors
    except (ValueError, TypeError, AttributeError):
        pass
    raise InvalidInput(
        f"page {page!r} is not a page of this listing of {listing[0]}: pass `next_page` of the page before, "
        "with the same workflow and status."
    )
