"""Bad input gets one clear error that names the place and the remedy, and nothing is lost."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio.manifest import Manifest
from fluxio_client import RunStatus, SettingError
from fluxio_protocol.store import Store
from tests.moto.pump import Calls, Invocation, Killed, LogLines, World

pytestmark = pytest.mark.once

SECRET = "4111 1111 1111 1111"


@workflow
class Good:
    @step
    def only(self) -> str:
        return "done"


class TestMessages:
    """A message that fluxio did not write goes to the dead-letter queue; its neighbours do not notice."""

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("not JSON", "the body is not JSON"),
            ("[1, 2]", "the body is not a JSON object"),
            ("{}", "the field 'run_id' is missing, or is no run id"),
            ('{"run_id": ""}', "the field 'run_id' is missing, or is no run id"),
            ('{"run_id": "wf-0123456789ab"}', "there is no run wf-0123456789ab in this table"),
            ('{"run_id": "good", "step": 7}', "the field 'step' is not of type str"),
        ],
    )
    def test_it_goes_to_the_dead_letter_queue_and_is_logged(
        self, world: World, log_lines: LogLines, body: str, reason: str
    ) -> None:
        world.send(body)
        world.client.start("Good", run_id="good")
        pump = world.pump(Good, batch_size=10)
        records = pump.receive()
        assert len(records) == 2
        pump.invoke(records)
        assert world.client.get("good").status is RunStatus.SUCCEEDED
        (bad,) = [record for record in records if record["body"] == body]
        assert pump.answers == [{"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}]
        (line,) = [line for line in log_lines() if line["level"] == "ERROR"]
        assert line["message"].startswith(f"message refused: {reason}")
        assert line["message_id"] == bad["messageId"]
        pump.pass_time(30)
        assert world.dead_letters() == [body]

    def test_a_body_is_never_logged(self, world: World, log_lines: LogLines) -> None:
        for at, body in enumerate([SECRET, json.dumps({"card": SECRET}), json.dumps([SECRET])]):
            world.send(body, group=str(at))
        world.pump(Good).drain()
        assert SECRET not in str(log_lines())

    def test_a_nudge_for_a_step_that_is_not_there_does_no_harm(self, world: World) -> None:
        world.client.start("Good", run_id="good")
        world.send('{"run_id": "good", "workflow": "Good", "step": "gone", "attempt": 1}')
        pump = world.pump(Good)
        pump.drain()
        assert world.client.get("good").status is RunStatus.SUCCEEDED
        assert world.dead_letters() == []

    def test_a_nudge_that_takes_a_run_for_another_workflows_does_no_harm(
        self, world: World
    ) -> None:
        @workflow
        class Other:
            @step
            def only(self) -> str:
                return "the other one's"

        pump = world.pump(Good, Other)
        world.client.start("Good", run_id="good")
        world.sqs.purge_queue(QueueUrl=world.queue_url)
        world.send('{"run_id": "good", "workflow": "Other"}')
        pump.drain()
        assert world.client.get("good").result == "done"

    def test_a_message_that_sqs_lost_the_attributes_of_is_taken_as_the_first(
        self, world: World
    ) -> None:
        world.client.start("Good", run_id="good")
        pump = world.pump(Good)
        records = pump.receive()
        del records[0]["attributes"]
        pump.invoke(records)
        assert world.client.get("good").status is RunStatus.SUCCEEDED


class TestOutage:
    """While DynamoDB does not answer, messages wait; none gets to the dead-letter queue."""

    def test_a_message_comes_back_later_each_time_and_is_never_lost(
        self, world: World, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.client.start("Good", run_id="good")
        pump = world.pump(Good)
        with monkeypatch.context() as outage:
            outage.setattr(Store, "apply", unreachable)
            for _ in range(180):
                pump.drain()
                world.clock.advance(5)
        assert world.dead_letters() == []
        lines = log_lines("message put back")
        pauses = [line["seconds"] for line in lines[:4]]
        assert pauses == sorted(pauses)
        assert {(line["error"], line["run_id"]) for line in lines} == {("ConnectionError", "good")}
        pump.pass_time(5 * 60, step=5)
        assert world.client.get("good").result == "done"

    def test_what_is_not_fluxios_own_error_is_logged_by_its_type_alone(
        self, world: World, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> Any:
            raise ConnectionError(f"could not send {SECRET}")

        world.client.start("Good", run_id="good")
        with monkeypatch.context() as outage:
            outage.setattr(Store, "apply", refuse)
            world.pump(Good).drain()
        lines = log_lines()
        assert SECRET not in str(lines)
        (line,) = [line for line in lines if line["message"] == "message put back"]
        assert (line["error"], line["run_id"], line["received"]) == ("ConnectionError", "good", 1)

    def test_the_others_of_the_batch_go_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for run_id in ("one", "two", "three"):
            world.client.start("Good", run_id=run_id)
        pump = world.pump(Good)
        apply = Store.apply

        def fail_for_two(self: Store, run_id: str, *rest: Any) -> Any:
            return unreachable() if run_id == "two" else apply(self, run_id, *rest)

        with monkeypatch.context() as outage:
            outage.setattr(Store, "apply", fail_for_two)
            pump.drain()
        statuses = [world.client.get(run_id).status for run_id in ("one", "two", "three")]
        assert statuses == [RunStatus.SUCCEEDED, RunStatus.PENDING, RunStatus.SUCCEEDED]


def unreachable(*_: object) -> Any:
    raise ConnectionError("no route to host")


WriteZip = Callable[..., Manifest]


@pytest.fixture
def write_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteZip]:
    """Lays out a function's folder, as the zip is unpacked, and gives its manifest."""
    before = {*sys.modules}
    monkeypatch.syspath_prepend(tmp_path)

    def write(entry_points: str, **modules: str) -> Manifest:
        (tmp_path / "entry_points.txt").write_text(dedent(entry_points))
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(dedent(text))
        importlib.invalidate_caches()
        return Manifest([tmp_path])

    yield write
    for name in {*sys.modules} - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


GOOD_MODULE = """
    from fluxio import workflow, step

    @workflow
    class Fine:
        @step
        def only(self):
            return "fine"
"""


class TestDeployment:
    """What is wrong with the worker's zip is said by the runs that it concerns."""

    @pytest.mark.parametrize(
        "text",
        [
            "def __getattr__(name):\n    raise RuntimeError('no driver')",
            "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
            "class Odd(ImportError):\n    def __getattribute__(self, name): raise OSError\nraise Odd",
            "error = ModuleNotFoundError('x')\nerror.name = 5\nraise error",
            "class Odd(type):\n    def __getattribute__(self, _): raise OSError\nclass Fine(metaclass=Odd): 1",
        ],
    )
    def test_a_module_that_raises_whatever_it_is_asked_parks_its_run(
        self, world: World, write_zip: WriteZip, text: str
    ) -> None:
        manifest = write_zip("[fluxio.workflows]\nFine = odd:Fine\n", odd=text)
        run_id = world.client.start("Fine").run_id
        world.pump(manifest=manifest).lose_patience()
        run = world.client.get(run_id)
        assert run.parked
        assert run.error is not None
        assert "importing odd raises" in run.error.message

    def test_a_run_of_an_unknown_workflow_fails_and_says_so(
        self, world: World, write_zip: WriteZip
    ) -> None:
        manifest = write_zip("[fluxio.workflows]\nFine = fine:Fine\n", fine=GOOD_MODULE)
        run_id = world.client.start("Unknown").run_id
        pump = world.pump(manifest=manifest)
        pump.lose_patience()
        run = world.client.get(run_id)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error.type == "UnknownWorkflow"
        assert "this deployment has no workflow 'Unknown'; it has: Fine." in run.error.message
        assert "add Unknown to the manifest (entry_points.txt" in run.error.message
        assert [run.run_id for run in world.client.list("Unknown", status="FAILED").runs] == [
            run_id
        ]

    @pytest.mark.parametrize(
        ("entry_points", "modules", "message"),
        [
            ("no section\n", {}, "cannot be read"),
            (
                "[other.group]\nW = a:A\n",
                {},
                "the worker's zip has no manifest that names a workflow. Put an entry_points.txt",
            ),
            (
                "[fluxio.workflows]\nW = a:A\nW = b:B\n",
                {},
                "names 'W' twice, again in line 3. Rename one",
            ),
            ("[fluxio.workflows]\nW = nonsense\n", {}, "write 'module:Class' on the right"),
            (
                "[fluxio.workflows]\nW = gone:W\n",
                {},
                "entry_points.txt names W = gone:W, but there is no module 'gone'",
            ),
            (
                "[fluxio.workflows]\nW = needy:W\n",
                {"needy": "import not_in_the_zip"},
                "there is no module 'not_in_the_zip'. Put it into the worker's zip",
            ),
            (
                "[fluxio.workflows]\nW = broken:W\n",
                {"broken": "1/0"},
                "importing broken raises ZeroDivisionError",
            ),
            (
                "[fluxio.workflows]\nW = empty:W\n",
                {"empty": ""},
                "the module empty has no class 'W'",
            ),
            (
                "[fluxio.workflows]\nW = plain:W\n",
                {"plain": "class W: pass"},
                "does not decorate with @workflow its class 'W'",
            ),
            (
                "[fluxio.workflows]\nW = cyclic:W\n",
                {
                    "cyclic": """
                    from fluxio import workflow, step
                    @workflow
                    class W:
                        @step(depends_on=["b"])
                        def a(self): ...
                        @step(depends_on=["a"])
                        def b(self): ...
                    """
                },
                "importing cyclic raises DefinitionError: W: the steps depend on each other",
            ),
        ],
    )
    def test_a_run_is_parked_with_what_is_wrong_with_the_manifest(
        self,
        world: World,
        write_zip: WriteZip,
        entry_points: str,
        modules: dict[str, str],
        message: str,
    ) -> None:
        manifest = write_zip(entry_points, **modules)
        run_id = world.client.start("W").run_id
        pump = world.pump(manifest=manifest)
        pump.lose_patience()
        run = world.client.get(run_id)
        assert run.status is RunStatus.WAITING
        assert run.parked
        assert not run.ended
        assert run.error is not None
        assert run.error.type == "DeploymentError"
        assert message in run.error.message
        world.clock.advance(600)
        assert pump.sweep()["nudged"] == 0, "a parked run is left to the operator"

    def test_a_broken_module_does_not_matter_to_other_workflows(
        self, world: World, write_zip: WriteZip
    ) -> None:
        manifest = write_zip(
            "[fluxio.workflows]\nFine = fine:Fine\nBroken = broken:W\n",
            fine=GOOD_MODULE,
            broken="raise RuntimeError('imported')",
        )
        fine, broken = (world.client.start(name).run_id for name in ("Fine", "Broken"))
        pump = world.pump(manifest=manifest)
        pump.drain()
        assert world.client.get(fine).result == "fine"
        assert "broken" not in sys.modules
        pump.lose_patience()
        assert world.client.get(broken).status is RunStatus.WAITING

    def test_a_step_that_takes_longer_than_the_function_may_parks_the_run(
        self, world: World
    ) -> None:
        @workflow
        class Long:
            @step(timeout=120)
            def long(self) -> None: ...

        run_id = world.client.start("Long").run_id
        world.pump(Long, function_timeout=120).lose_patience()
        run = world.client.get(run_id)
        assert run.parked
        assert run.error is not None
        assert (
            "step long of Long has timeout=120 s, but the worker's function is stopped after 120 s"
            in run.error.message
        )
        assert "Raise the module's `timeout`, or lower the step's" in run.error.message

    def test_an_initialisation_within_the_invocation_parks_no_run(self, world: World) -> None:
        @workflow
        class Long:
            @step(timeout=117)
            def long(self) -> str:
                return "done"

        run_id = world.client.start("Long").run_id
        pump = world.pump(Long, function_timeout=120)
        pump.function_timeout = 117.5  # what is left of it, the first time
        pump.invoke(pump.receive())
        pump.function_timeout = 120
        pump.drain()
        assert world.client.get(run_id).result == "done"

    def test_a_run_keeps_the_graph_it_was_opened_with(self, world: World) -> None:
        @workflow(name="Changing")
        class Before:
            @step
            def a(self) -> str:
                raise_if_asked()
                return "a"

            @step(depends_on=["a"])
            def b(self, a: str) -> str:
                return f"{a}b of {deployed}"

        @workflow(name="Changing")
        class After:
            @step
            def a(self) -> str:
                return "a"

            @step(depends_on=["a"])
            def between(self) -> str:
                return "-"

            @step(depends_on=["a", "between"])
            def b(self, a: str) -> str:
                return f"{a}b of {deployed}"

        deployed = "before"

        def raise_if_asked() -> None:
            if deployed == "before":
                raise Killed

        world.client.start("Changing", run_id="old")
        world.pump(Before).drain()
        deployed = "after"
        pump = world.pump(After)
        pump.pass_time(200, step=10)
        run = world.client.get("old")
        assert (run.status, run.result) == (RunStatus.SUCCEEDED, "ab of after")
        assert {*run.steps} == {"a", "b"}

    def test_a_run_under_way_is_parked_where_its_workflow_is_not_deployed_any_more(
        self, world: World
    ) -> None:
        @workflow
        class Dropped:
            @step
            def only(self) -> None:
                raise Killed

        world.client.start("Dropped", run_id="old")
        world.pump(Dropped).drain()
        world.pump(Good).pass_time(480, step=10)
        run = world.client.get("old")
        assert run.parked
        assert run.error is not None
        assert run.error.type == "UnknownWorkflow"

    def test_a_run_whose_step_is_not_deployed_any_more_is_parked(self, world: World) -> None:
        @workflow(name="Changing")
        class Before:
            @step
            def dropped(self) -> None:
                raise Killed

        @workflow(name="Changing")
        class After:
            @step
            def other(self) -> None: ...

        world.client.start("Changing", run_id="old")
        world.pump(Before).drain()
        world.pump(After).pass_time(480, step=10)
        run = world.client.get("old")
        assert run.parked
        assert run.error is not None
        assert "has no step dropped, which the run, of version" in run.error.message
        assert "with @step(retired=True)" in run.error.message


class TestLambdaHandler:
    """`fluxio.worker.lambda_handler`, as Lambda calls it, straight from the layer."""

    @pytest.fixture
    def environment(
        self, world: World, write_zip: WriteZip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> pytest.MonkeyPatch:
        write_zip("[fluxio.workflows]\nFine = fine:Fine\n", fine=GOOD_MODULE)
        monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
        monkeypatch.setenv("FLUXIO_TABLE_NAME", world.table_name)
        monkeypatch.setenv("FLUXIO_QUEUE_URL", world.queue_url)
        monkeypatch.delitem(sys.modules, "fluxio.worker", raising=False)
        return monkeypatch

    def test_it_works_as_it_stands(
        self, world: World, environment: pytest.MonkeyPatch, calls: Calls
    ) -> None:
        from fluxio.worker import lambda_handler

        world.clock.at = importlib.import_module("time").time_ns() // 1_000_000
        run_id = world.client.start("Fine").run_id
        pump = world.pump()
        pump.handle = lambda_handler
        pump.drain()
        assert world.client.get(run_id).result == "fine"
        assert lambda_handler({"fluxio": "sweep"}, Invocation(world.clock, 60)) == {
            "nudged": 0,
            "latest_ms": 0,
        }

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("FLUXIO_TABLE_NAME", "", "FLUXIO_TABLE_NAME is not set"),
            ("FLUXIO_QUEUE_URL", "", "FLUXIO_QUEUE_URL is not set"),
            ("FLUXIO_QUEUE_URL", "arn:aws:sqs:x:1:q.fifo", "is not the URL of a FIFO queue"),
            ("FLUXIO_QUEUE_URL", "https://sqs.x/1/standard", "is not the URL of a FIFO queue"),
            ("FLUXIO_INLINE_BRANCHES", "many", "is 'many': set it to a whole number from 0"),
            ("FLUXIO_INLINE_BRANCHES", "-1", "set it to a whole number from 0"),
            ("FLUXIO_INLINE_BRANCHES", "1000", "set it to a whole number from 0"),
            ("FLUXIO_RETENTION_DAYS", "0", "set it to a whole number from 1 to 3650"),
            ("FLUXIO_RETENTION_DAYS", "3651", "set it to a whole number from 1 to 3650"),
        ],
    )
    def test_a_wrong_variable_is_named_by_every_invocation(
        self,
        world: World,
        environment: pytest.MonkeyPatch,
        log_lines: LogLines,
        name: str,
        value: str,
        message: str,
    ) -> None:
        environment.setenv(name, value)
        environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "worker")
        from fluxio.worker import lambda_handler

        (line,) = log_lines()
        assert (line["level"], name in line["message"]) == ("ERROR", True)
        for _ in range(2):
            with pytest.raises(SettingError, match=message):
                lambda_handler({"Records": []}, Invocation(world.clock, 60))

    @pytest.mark.parametrize("event", [{}, {"Records": None}, [], None, {"fluxio": "swept"}])
    def test_an_event_that_is_neither_messages_nor_sweep(
        self, world: World, environment: pytest.MonkeyPatch, event: object
    ) -> None:
        from fluxio.worker import lambda_handler

        with pytest.raises(ValueError, match="invoke this function through its event source"):
            lambda_handler(event, Invocation(world.clock, 60))
