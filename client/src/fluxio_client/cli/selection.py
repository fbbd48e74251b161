"""Which runs a listing shows: the filters of `fluxio list` and of the page, and what they find."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from fluxio_client.cli.moments import moment_of
from fluxio_client.cli.session import Session
from fluxio_client.cli.waiting import awaited_signals
from fluxio_client.cli.which import newest, newest_page
from fluxio_client.listing import Listing
from fluxio_protocol import layout
from fluxio_protocol.calls import BATCH_KEYS
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.run import Failure, Run, RunStatus, RunSummary


class Listed(NamedTuple):
    """A run in the listing: what an index has of it, and the run itself, unless that is gone."""

    summary: RunSummary
    run: Run | None = None

    @property
    def error(self) -> Failure | None:
        """Why it failed or was parked."""
        return self.run.error if self.run else None

    @property
    def version(self) -> str | None:
        """The version of its graph; None until a worker has opened it."""
        return self.run.version if self.run else None


class Shown(NamedTuple):
    """What was found, and how."""

    runs: list[Listed]
    #: The index that was read.
    read_from: str
    #: The token of the next page; None if there is none.
    next_page: str | None = None
    #: Whether there are more, or may be: what is not shown was not read, and may not be what was asked for.
    more: bool = False


@dataclass(frozen=True)
class Filters:
    """What is asked for, as the options of `fluxio list` say it."""

    workflows: tuple[str, ...] = ()
    status: RunStatus | None = None
    open: bool = False
    failed: bool = False
    waiting: bool = False
    #: So long ago ("2h") or an ISO time.
    since: str | None = None
    version: str | None = None
    limit: int = 50
    page: str | None = None

    def select(self, session: Session) -> Shown:
        """The runs that are asked for.

        Raises:
            InvalidInput: the filters do not go together, or a value is none.
        """
        names = [layout.check_workflow(name) for name in self.workflows]
        if sum(map(bool, (self.status, self.open, self.failed, self.waiting))) > 1:
            raise InvalidInput("say one of --status, --open, --failed, --waiting.")
        if self.page and (len(names) != 1 or self.open or self.waiting or self.version):
            raise InvalidInput("--page goes on with a listing of one WORKFLOW.")
        status = RunStatus.FAILED if self.failed else self.status
        look = _Look(session, names, self.first(session.now), self.limit, self.version)
        if self.waiting or (status is RunStatus.WAITING and not names):
            return look.waiting(signals=self.waiting)
        if status is RunStatus.FAILED and not names:
            return look.failed()
        if names and not self.open:
            return look.of_workflows(status, self.page)
        if status in (None, RunStatus.PENDING, RunStatus.RUNNING, RunStatus.COMPENSATING):
            return look.open(status)
        raise InvalidInput(
            f"--status {status} needs a WORKFLOW: no index has such runs of all workflows."
        )

    def first(self, now: int) -> int:
        """The moment that `since` stands for, in milliseconds since 1970; 0 without one."""
        return moment_of(self.since, now) if self.since else 0


@dataclass
class _Look:
    """One look at the indexes. Runs are read as they are shown, and no more of them."""

    session: Session
    names: list[str]
    since: int
    limit: int
    version: str | None

    def of_workflows(self, status: RunStatus | None, page: str | None) -> Shown:
        """Runs of the workflows that are named."""
        failed = status is RunStatus.FAILED
        index = layout.INDEX_FAILED if failed else layout.INDEX_BY_WORKFLOW
        if len(self.names) > 1 or self.version is not None:
            return self._take(self._newest(status), index)
        with self.session.busy(f"looking for runs of {self.names[0]} …"):
            found = newest_page(self.session, self.names[0], status, self.since, self.limit, page)
        runs = self.session.store.read_many(one.run_id for one in found)
        listed = [Listed(one, runs.get(one.run_id)) for one in found]
        return Shown(listed, index, found.next_page, more=found.next_page is not None)

    def open(self, status: RunStatus | None) -> Shown:
        """Runs that have not ended and are not parked."""

        def is_wanted(run: Run) -> bool:
            return status is None or run.status is status

        return self._take(self._open(is_wanted), layout.INDEX_DUE)

    def waiting(self, signals: bool) -> Shown:
        """Parked runs, and those that wait for a signal."""

        def waits(run: Run) -> bool:
            return bool(awaited_signals(run, self.session.now))

        parked = self._newest(RunStatus.WAITING) if self.names else self._scan(RunStatus.WAITING)
        candidates = chain(parked, self._open(waits) if signals else ())
        return self._take(candidates, layout.INDEX_BY_WORKFLOW)

    def failed(self) -> Shown:
        """Failed runs of all workflows."""
        return self._take(self._scan(RunStatus.FAILED), layout.INDEX_FAILED)

    # --- what may be shown: candidates are read when their turn comes, if it comes

    def _newest(self, status: RunStatus | None) -> Iterator[_Candidate]:
        every = (
            newest(self.session, name, status, self.since, self.limit + 1) for name in self.names
        )
        yield from map(_found, heapq.merge(*every, key=_order(status)))

    def _scan(self, status: RunStatus) -> Iterator[_Candidate]:
        found: list[RunSummary] = []
        with self.session.busy(f"looking for {status} runs of all workflows …"):
            for piece in Listing(self.session.store).in_status(status, self.since):
                found += piece
        yield from map(_found, sorted(found, key=_order(status)))

    def _open(self, is_wanted: Callable[[Run], bool]) -> Iterator[_Candidate]:
        def judged(run: Run | None) -> Listed | None:
            # The index may be some moments behind, so the run itself says whether it is open.
            if run is None or run.ended or run.parked or run.created_at < self.since:
                return None
            if (self.names and run.workflow not in self.names) or not is_wanted(run):
                return None
            return Listed(
                RunSummary(run.run_id, run.workflow, run.status, run.created_at, run.ended_at), run
            )

        for run_id in Listing(self.session.store).open(self.limit):
            yield _Candidate(run_id, judged)

    def _take(self, candidates: Iterator[_Candidate], index: str) -> Shown:
        """As many of the candidates as may be shown."""
        listed: list[Listed] = []
        # Where candidates turn out not to be wanted, the next ones are read many at a time.
        size = min(self.limit, BATCH_KEYS)
        with self.session.progress("reading runs", self.limit) as bar:
            while len(listed) < self.limit and (some := list(islice(candidates, size))):
                runs = self.session.store.read_many(one.run_id for one in some)
                judged = [one.judged(runs.get(one.run_id)) for one in some]
                wanted = [one for one in judged if one and self.version in (None, one.version)]
                listed += wanted
                bar.advance(len(wanted))
                size = BATCH_KEYS
        more = len(listed) > self.limit or next(candidates, None) is not None
        del listed[self.limit :]
        if index != layout.INDEX_FAILED:
            listed.sort(key=lambda one: -one.summary.created_at)
        return Shown(listed, index, more=more)


class _Candidate(NamedTuple):
    """A run that may be shown."""

    run_id: str
    #: What is to be shown of the run; None if it is not to be.
    judged: Callable[[Run | None], Listed | None]


def _found(summary: RunSummary) -> _Candidate:
    """A run that a listing has found: the run itself adds its error and its version."""
    return _Candidate(summary.run_id, partial(Listed, summary))


def _order(status: RunStatus | None) -> Callable[[RunSummary], int]:
    """The newest first; of failed runs, the last that failed."""
    if status is RunStatus.FAILED:
        return lambda run: -(run.ended_at or run.created_at)
    return lambda run: -run.created_at
