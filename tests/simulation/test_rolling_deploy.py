"""An older and a newer version of fluxio at one table and queue, as during a rolling deploy and after one.

The older one is that of the last commit before the form of the run item changed. A message, a call of a client
or a sweep goes to whichever version a test says.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from dev import ROOT
from tests.simulation.versions import older, workflows
from tests.simulation.versions.older import OlderProcess, OlderRaised
from tests.simulation.versions.stage import NEWER, OLDER, RUN_ID, Case, Stage, first, forever

pytestmark = pytest.mark.filterwarnings("error")


def named(*steps: str, size: int = 0) -> dict[str, Any]:
    """What steps return that return their names."""
    return dict.fromkeys(steps, "o" * size)


APPROVED = (("approved", {"by": "lee"}), ("extra", 3))
CASES = {
    "a single step": Case("Single", named("only")),
    "two roots": Case("TwoRoots", {"a": named("a"), "b": named("b")}),
    "two roots, a message each": Case("TwoRoots", {"a": named("a"), "b": named("b")}, {}, 0),
    "a chain": Case("Chain", named("d")),
    "a chain, a message a step": Case("Chain", named("d"), seconds=50),
    "1-3-1": Case("Order", named("fulfill")),
    "1-3-1, branches one by one": Case("Order", named("fulfill"), together=False),
    "1-3-1, a message a branch": Case("Order", named("fulfill"), {}, 0),
    "12 branches": Case("Fan", named("join")),
    "12 branches, a message each": Case("Fan", named("join"), {}, 0),
    "a chain whose records are sealed": Case("LongChain", named("s11", size=190), seconds=50),
    "long outputs": Case("LongOutputs", named("last", size=3_000), seconds=50),
    "long outputs, a message a branch": Case("LongOutputs", named("last", size=3_000), {}, 0),
    "signals": Case("Approval", {"end": "lee 1 3"}, {"number": 1}, signals=APPROVED),
    "retries": Case("Flaky", {"left": "done"}, attempts=(("left", 3),)),
    "retries, a message a branch": Case("Flaky", {"left": "done"}, {}, 0, attempts=(("left", 3),)),
    "transactions": Case(
        "Transfer",
        {"credited": 6},
        {"amount": 7},
        ledger=(("from", -7), ("to", 7), ("fees", 1)),
    ),
    "a failure and a redrive": Case("Mended", {"number": 3}, redrives=1, attempts=(("second", 2),)),
    "a cancel": Case("Approval", None, {"number": 1}, cancelled=True, ends="CANCELLED"),
    "a deadline": Case("Overdue", None, ends="FAILED"),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OlderProcess]:
    folder = tmp_path_factory.mktemp("older")
    older.unpack(folder)
    with older.running(folder) as running:
        yield running


def call_that_opens(process: OlderProcess, case: Case, version: str) -> int:
    """The number of the call with which a worker of this version opens the run."""
    stage = Stage(case, process)
    stage.start(version)
    stage.deliver(version, stage.receive())
    return stage.writes[version][0]


@pytest.mark.once
def test_the_older_version_is_that_of_its_commit() -> None:
    """The archive has what the history has, where there is a history."""
    git = shutil.which("git")
    known = git and subprocess.run(
        [git, "cat-file", "-e", f"{older.COMMIT}^{{commit}}"], cwd=ROOT, capture_output=True
    )
    if not git or not known or known.returncode:
        pytest.skip(f"no git here, or a clone without the commit {older.COMMIT}")
    command = [git, "archive", "--format=tar", older.COMMIT, *older.FOLDERS]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    assert dict(older.files()) == dict(older.files(io.BytesIO(made)))


@each_case
@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_each_version_runs_all_of_it_alone(process: OlderProcess, case: Case, version: str) -> None:
    stage = Stage(case, process)
    stage.start(version)
    stage.work(version)
    assert list(stage.problems()) == []


def test_the_newer_version_seals_records_here(process: OlderProcess) -> None:
    """Else the cases would show nothing of archives."""
    stage = Stage(CASES["a chain whose records are sealed"], process)
    stage.start(NEWER)
    stage.work(NEWER)
    assert stage.watch.archives > 0


@each_case
@pytest.mark.parametrize("begins", [OLDER, NEWER])
def test_runs_end_as_they_should_whichever_version_gets_which_message(
    process: OlderProcess, case: Case, begins: str
) -> None:
    """The two take turns."""
    stage = Stage(case, process)
    stage.start(begins)
    stage.work(forever(begins, OLDER if begins == NEWER else NEWER))
    assert list(stage.problems()) == []


@each_case
def test_runs_that_the_older_version_began_are_ended_by_the_newer(
    process: OlderProcess, case: Case
) -> None:
    """After each number of messages that the older one has had."""
    for messages in range(1, 100):
        stage = Stage(case, process)
        stage.start(OLDER)
        stage.work(first(OLDER, messages), NEWER)
        assert list(stage.problems()) == [], f"after {messages} messages"
        if stage.delivered[NEWER] == 0:
            return
    raise AssertionError("the older version goes round in circles")


@each_case
def test_runs_that_the_newer_version_began_go_on_after_an_older_one_had_their_messages(
    process: OlderProcess, case: Case
) -> None:
    """After each number of messages that the newer one has had, the older one has the next ones."""
    for messages in range(1, 100):
        stage = Stage(case, process)
        stage.start(NEWER)
        stage.work(first(NEWER, messages), first(OLDER, 3), NEWER)
        assert list(stage.problems()) == [], f"after {messages} messages"
        if stage.delivered[OLDER] == 0:
            return
    raise AssertionError("the newer version goes round in circles")


@each_case
def test_runs_of_the_newer_version_wait_through_a_rollback(
    process: OlderProcess, case: Case
) -> None:
    """They stand still while there are older workers alone, and go on with the next newer one."""
    stage = Stage(case, process)
    stage.start(NEWER)
    opens = call_that_opens(process, case, NEWER)
    stage.dies = NEWER, opens, "after"
    stage.work(stage.until_call(NEWER, opens), first(OLDER, 60), NEWER)
    # What is cancelled, or overdue, ends; and where all steps are roots, the older one sees all of them.
    ends = case.cancelled or case.workflow in ("Single", "TwoRoots", "Overdue")
    assert ends or stage.delivered[OLDER] == 60
    assert list(stage.problems(died=True)) == []


@each_case
@pytest.mark.parametrize("begins", [OLDER, NEWER])
def test_a_worker_that_dies_leaves_a_run_that_the_other_version_ends(
    process: OlderProcess, case: Case, begins: str
) -> None:
    """It dies after each of its calls in turn, and with each attempt that it has not committed yet.

    An older worker gets the next messages, a newer one the rest.
    """
    sound = Stage(case, process)
    sound.start(begins)
    sound.work(begins)
    after = [(call, "after") for call in range(1, sound.calls[begins] + 1)]
    for call, when in [*after, *((call, "before") for call in sound.commits)]:
        stage = Stage(case, process)
        stage.start(begins)
        stage.dies = begins, call, when
        stage.work(stage.until_call(begins, call), first(OLDER, 2), NEWER)
        assert list(stage.problems(died=True)) == [], f"{when} call {call}"


@each_case
@pytest.mark.parametrize(("opens", "holds"), [(OLDER, OLDER), (OLDER, NEWER), (NEWER, NEWER)])
@pytest.mark.parametrize("held_up", [False, True], ids=["delivered twice", "held up"])
def test_a_worker_and_one_of_the_other_version_at_the_same_run_keep_every_promise(
    process: OlderProcess, case: Case, opens: str, holds: str, held_up: bool
) -> None:
    """Before each write of the one, the other gets its message; at once, or when the leases have expired.

    The one commits afterwards, or is fenced. Where it is not the one that opened the run, that one has died.
    """
    other = OLDER if holds == NEWER else NEWER
    if held_up:
        case = case._replace(together=True)  # else the stand-in for threads has some that never end

    opening = call_that_opens(process, case, opens)

    def play(write: int | None = None) -> Stage:
        stage = Stage(case, process)
        stage.start(opens)

        def interfere() -> None:
            if held_up:
                stage.clock.advance(300)
                stage.deliver_all(other)
            else:
                stage.deliver_again(other)

        opened: Iterable[str] = ()
        if opens != holds:
            stage.dies = opens, opening, "after"
            opened = stage.until_call(opens, opening)
        if write is None:
            stage.work(opened, holds)
        else:
            stage.before_call[holds, write] = interfere
            stage.work(opened, stage.until_call(holds, write), NEWER)
        return stage

    for write in play().writes[holds]:
        stage = play(write)
        if opens != holds:
            assert "schema" not in stage.aws.table.items[RUN_ID, "run"]
        assert list(stage.problems(died=True)) == [], f"before call {write}"


@pytest.mark.parametrize("works", [OLDER, NEWER])
@pytest.mark.parametrize(
    "name", ["two roots", "1-3-1", "a chain whose records are sealed", "signals", "retries"]
)
def test_a_client_of_the_other_version_reads_a_run_at_every_moment(
    process: OlderProcess, name: str, works: str
) -> None:
    """It shows what is, as far as it knows the form that it stands in."""
    stage = Stage(CASES[name], process)
    other = stage.older if works == NEWER else stage.newer
    looks = 0

    def look(_: str) -> None:
        nonlocal looks
        looks += 1
        item = stage.aws.table.items[RUN_ID, "run"]
        run = other.client("get", run_id=RUN_ID)
        assert run["status"] == item["status"]["S"]
        stored = item.get("steps", {"M": {}})["M"]
        for step, of in run["steps"].items():
            if "status" in stored.get(step, {}).get("M", {}):
                assert of["status"] == stored[step]["M"]["status"]["S"]
                assert of["attempt"] == int(stored[step]["M"]["attempt"]["N"])
        # What the older one does not know are ended steps, and those that were never claimed. It takes the
        # signals that the run awaits for a step in an unknown status, "*".
        assert run["steps"].keys() == {step for step, of in stored.items() if "M" in of}
        for command in (["show", RUN_ID], ["list", stage.case.workflow]):
            said = other.command(*command)
            assert said["code"] == 0, said
            assert RUN_ID in said["out"]

    stage.after_calls = look
    stage.start(works)
    stage.work(works)
    assert looks > 3
    assert list(stage.problems()) == []


@pytest.mark.parametrize("name", ["a chain", "1-3-1", "signals"])
@pytest.mark.parametrize(("stores", "reads"), [(OLDER, NEWER), (NEWER, OLDER)])
def test_a_graph_is_read_by_the_other_version(
    process: OlderProcess, name: str, stores: str, reads: str
) -> None:
    """A run keeps the graph that it began with, so a worker goes by graphs that the other version stored."""
    stage = Stage(CASES[name], process)
    stage.start(stores)
    stage.deliver_all(stores)
    graph = stage.of(reads).client("graph", run_id=RUN_ID)
    assert graph == stage.of(stores).client("graph", run_id=RUN_ID)
    assert len(graph["depends_on"]) > 3
    assert not graph["unknown"]


@pytest.mark.parametrize(("starts", "asks"), [(OLDER, NEWER), (NEWER, OLDER)])
def test_a_client_of_the_other_version_steers_a_run(
    process: OlderProcess, starts: str, asks: str
) -> None:
    """Starts it again, waits for it, cancels and redrives it."""
    stage = Stage(CASES["a failure and a redrive"]._replace(redrives=0), process)
    stage.start(starts)
    client = stage.of(asks).client
    assert client("start", workflow="Mended", input={}, run_id=RUN_ID)["run_id"] == RUN_ID
    stage.work(starts)
    assert client("wait", run_id=RUN_ID)["status"] == "FAILED"
    assert "the invoice" in client("get", run_id=RUN_ID)["error"]
    assert client("list", workflow="Mended", status="FAILED") == [
        {"run_id": RUN_ID, "status": "FAILED"}
    ]
    client("redrive", run_id=RUN_ID)
    stage.work(starts)
    assert client("wait", run_id=RUN_ID)["result"] == {"number": 3}


def test_an_older_client_lists_runs_whose_status_it_does_not_find_in_the_index_as_unknown(
    process: OlderProcess,
) -> None:
    stage = Stage(CASES["a chain"], process)
    stage.start(NEWER)
    stage.work(NEWER)
    assert stage.older.client("list", workflow="Chain") == [{"run_id": RUN_ID, "status": "UNKNOWN"}]
    assert stage.older.client("list", workflow="Chain", status="SUCCEEDED") == []
    assert stage.newer.client("list", workflow="Chain", status="SUCCEEDED") == [
        {"run_id": RUN_ID, "status": "SUCCEEDED"}
    ]


@pytest.mark.parametrize("size", [0, 3_000], ids=["short", "long"])
@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_an_older_client_sends_signals_to_a_run_that_a_newer_worker_opened(
    process: OlderProcess, size: int, status: str
) -> None:
    """It knows which signals the run awaits, and a run that has failed keeps them for its redrive."""
    stage = Stage(CASES["signals"]._replace(signals=()), process)
    stage.start(NEWER)
    stage.deliver_all(NEWER)
    item = stage.aws.table.items[RUN_ID, "run"]
    if status == "FAILED":  # as if another step had failed
        ended = {"status": {"S": "FAILED"}, "ended_at": {"N": str(stage.clock.at)}}
        stage.aws.table.items[RUN_ID, "run"] = item | ended
    for name, payload in (("approved", {"by": "lee", "note": "n" * size}), ("extra", 3)):
        stage.older.client("signal", run_id=RUN_ID, name=name, payload=payload)
        stage.older.client("signal", run_id=RUN_ID, name=name, payload=payload)  # a repetition
    if status == "FAILED":
        stage.older.client("redrive", run_id=RUN_ID)
    stage.work(NEWER)
    assert stage.newer.client("get", run_id=RUN_ID)["result"] == {"end": "lee 1 3"}


@pytest.mark.parametrize("sent", [False, True], ids=["before it came", "after it came"])
@pytest.mark.parametrize(
    ("name", "payload", "replace", "refusal"),
    [
        ("aproved", {"by": "lee"}, False, "InvalidInput: .* its signals are approved, extra"),
        ("approved", {"by": "kim"}, False, "SignalExists"),
        ("approved", {"by": "kim"}, True, "SignalExists"),
    ],
)
def test_an_older_client_hands_a_newer_run_no_wrong_signal(
    process: OlderProcess, name: str, payload: Any, replace: bool, refusal: str, sent: bool
) -> None:
    """Not one that no step awaits, nor another payload: it cannot see whether a step has taken the first."""
    stage = Stage(CASES["signals"]._replace(signals=()), process)
    stage.start(NEWER)
    stage.deliver_all(NEWER)
    stage.newer.client("signal", run_id=RUN_ID, name="approved", payload={"by": "lee"})
    if sent:
        stage.deliver_all(NEWER)
    before = dict(stage.aws.table.items)
    with pytest.raises(OlderRaised, match=refusal):
        stage.older.client("signal", run_id=RUN_ID, name=name, payload=payload, replace=replace)
    assert stage.aws.table.items == before
    stage.newer.client("signal", run_id=RUN_ID, name="extra", payload=3)
    stage.work(NEWER)
    assert stage.newer.client("get", run_id=RUN_ID)["result"] == {"end": "lee 1 3"}


def test_an_older_worker_completes_steps_of_newer_runs_only_where_no_step_depends_on_them(
    process: OlderProcess,
) -> None:
    """It completes them in the older form, as maps, which count for no dependent.

    It reads every step of the graph from the item before it takes one over. Steps that were never claimed or
    have succeeded it does not find; so it gets so far in runs of root steps alone, when their leases expire.
    """
    completed = {}
    for name, case in CASES.items():
        stage = Stage(case, process)
        stage.start(NEWER)
        opens = call_that_opens(process, case, NEWER)
        stage.dies = NEWER, opens, "after"
        stage.work(stage.until_call(NEWER, opens), first(OLDER, 30), NEWER)
        assert list(stage.problems(died=True)) == [], name
        completed[name] = stage.completed_in_the_older_form
    assert {name for name, steps in completed.items() if steps} == {"a single step", "two roots"}


@pytest.mark.parametrize(
    ("name", "messages"), [("a chain whose records are sealed", 8), ("long outputs", 2)]
)
def test_a_newer_client_cancels_again_what_an_older_one_cancelled_and_all_its_items_go_with_it(
    process: OlderProcess, name: str, messages: int
) -> None:
    """The older one knows neither archives nor long outputs of steps that have succeeded."""
    stage = Stage(CASES[name], process)
    stage.start(NEWER)
    for _ in range(messages):
        stage.deliver(NEWER, stage.receive())
    stage.older.client("cancel", run_id=RUN_ID)
    items = stage.aws.table.items
    run_goes = items[RUN_ID, "run"]["ttl"]
    others = [key for key in items if key[0] == RUN_ID and key[1] != "run"]
    assert any(items[key]["ttl"] != run_goes for key in others)
    stage.newer.client("cancel", run_id=RUN_ID)
    assert others
    assert all(items[key]["ttl"] == run_goes for key in others)


@pytest.mark.parametrize("client", [OLDER, NEWER])
@pytest.mark.parametrize("lives_for", [2, 4, 1000], ids=lambda calls: f"dies at call {calls}")
def test_an_open_run_keeps_all_of_its_items_whichever_client_has_redriven_it(
    process: OlderProcess, client: str, lives_for: int
) -> None:
    """An older one knows neither archives nor outputs that records name: the worker keeps them in its place.

    A worker that dies meanwhile leaves that to the next.
    """
    stage = Stage(Case("LongMended", {"fails": "done"}, seconds=50), process)
    items = stage.aws.table.items

    def go() -> dict[str, int]:
        """When the items of the run are deleted besides its own."""
        found = {sk: item for (run_id, sk), item in items.items() if run_id == RUN_ID}
        return {sk: int(item["ttl"]["N"]) for sk, item in found.items() if sk != "run"}

    stage.start(NEWER)
    while items[RUN_ID, "run"]["status"]["S"] != "FAILED":
        stage.deliver(NEWER, stage.receive())
    run_goes = int(items[RUN_ID, "run"]["ttl"]["N"])
    assert go().keys() >= {"ended#1", "out#long#1"}
    assert {*go().values()} == {run_goes}

    stage.of(client).client("redrive", run_id=RUN_ID)
    at_attempt: list[dict[str, int]] = []
    stage.dies = NEWER, stage.calls[NEWER] + lives_for, "before"
    workflows.on_attempt.append(lambda _: at_attempt.append(go()))
    try:
        while not at_attempt:
            stage.deliver(NEWER, stage.receive())
            stage.clock.advance(stage.aws.function_timeout + 30)  # until it comes back if it must
    finally:
        workflows.on_attempt.pop()
    stage.work(NEWER)
    assert min(at_attempt[0].values()) > run_goes
    assert items[RUN_ID, "run"]["status"]["S"] == "SUCCEEDED"
    assert {*go().values()} == {int(items[RUN_ID, "run"]["ttl"]["N"])}
