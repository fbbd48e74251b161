"""What AWS would refuse for its size is never sent: limits, and the largest writes of the largest workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio.definition import MAX_AWAITS, MAX_AWAITS_IN_ALL, definition_of
from fluxio.errors import DefinitionError
from fluxio.testing import expressions
from fluxio_client import Failure, Run, RunStatus
from fluxio_protocol import changes as to
from fluxio_protocol import layout, limits
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import (
    PART_BYTES,
    PART_OPERATORS,
    Expression,
    expression,
    fits,
    parts,
)
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import Item
from fluxio_protocol.new_run import CHOSEN_BYTES, StartedBy
from fluxio_protocol.run_item import run_from_item
from tests.golden.rows import CHANGES, NOW, WRITES

pytestmark = pytest.mark.once

LONG_OUTPUT = "x" * layout.INLINE_BYTES
WORST = Failure("É" * 500, "\x00€" * 500, "s" * 40, 1_000)
TOKEN = "abcdef.12345678"


def name(at: int) -> str:
    return f"{'s' * 36}_{at:03}"


def signal(at: int) -> str:
    return f"{'g' * 36}_{at:03}"


def define(
    depends_on: Mapping[str, Sequence[str]], awaits: Mapping[str, Sequence[str]] | None = None
) -> Graph:
    """The graph of a workflow that @workflow accepts."""
    namespace: dict[str, Any] = {}
    for of, deps in depends_on.items():

        def run(self: object, **given: object) -> dict:  # type: ignore[type-arg]
            return {}

        run.__name__, run.__qualname__ = of, f"W.{of}"
        namespace[of] = step(depends_on=list(deps), awaits=list((awaits or {}).get(of, ())))(run)
    made = definition_of(workflow(type("W" * 64, (), namespace)))
    assert made is not None
    return made.graph


def layers(first: int, second: int) -> dict[str, tuple[str, ...]]:
    front = tuple(name(at) for at in range(first))
    return dict.fromkeys(front, ()) | {name(first + at): front for at in range(second)}


#: The largest that are accepted, each in another way.
EXTREMES: dict[str, Callable[[], Graph]] = {
    "200 roots": lambda: define({name(at): () for at in range(200)}),
    "a chain of 200": lambda: define(
        {name(at): (name(at - 1),) if at else () for at in range(200)}
    ),
    "100 dependents and their fan-in": lambda: define(
        {name(0): ()}
        | {name(at): (name(0),) for at in range(1, 101)}
        | {name(101): tuple(name(at) for at in range(1, 101))}
    ),
    "8,800 dependencies": lambda: define(layers(100, 88)),
    "steps that await 100 signals each": lambda: define(
        {name(at): () for at in range(10)},
        {name(at): [signal(5 * at + of) for of in range(100)] for at in range(10)},
    ),
    "100 steps that await one signal": lambda: define(
        {name(at): () for at in range(100)}, {name(at): [signal(0)] for at in range(100)}
    ),
    "200 steps that await 5 of 150 signals": lambda: define(
        {name(at): () for at in range(200)},
        {name(at): [signal((5 * at + of) % 150) for of in range(5)] for at in range(200)},
    ),
}


class Table:
    """One run item, written by the very expressions that the store sends."""

    def __init__(self) -> None:
        self.item: Item = layout.run_key("r" * 64)
        start = {
            "workflow": "W" * 64,
            "workflow_shard": layout.workflow_shard("W" * 64, 7),
            "status": "PENDING",
            "created_at": NOW,
            "due": 7,
            "wake_at": NOW,
            "trace": "1-" + "0" * 33,
            "input": "{" + "x" * (layout.INLINE_BYTES - 1),
        }
        self.item |= {of: layout.value(value) for of, value in start.items()}

    def apply(self, *changes: Change) -> None:
        arguments = expression(changes, NOW, 3_650).arguments()
        assert not list(limits.operation_refusals(arguments))
        assert fits(changes, NOW)
        names = arguments["ExpressionAttributeNames"]
        values = arguments["ExpressionAttributeValues"]
        holds, _ = expressions.parse_condition(arguments["ConditionExpression"])
        assert holds(self.item, names, values), [change.row.name for change in changes]
        update, _ = expressions.parse_update(arguments["UpdateExpression"])
        self.item = expressions.apply(self.item, update, names, values)
        assert limits.item_bytes(self.item) <= limits.ITEM_BYTES

    def claim(self, of: str, graph: Graph) -> None:
        claim = to.claim_values(TOKEN, NOW + 1_000_000, "s" * 40, NOW)
        awaits, seen = graph.awaits.get(of, ()), self.run(graph).steps[of]
        self.apply(to.claim(of, claim, first=not seen.attempt, awaits=awaits))

    def run(self, graph: Graph) -> Run:
        return run_from_item(self.item, None, graph)


@pytest.fixture(params=EXTREMES, scope="class")
def graph(request: pytest.FixtureRequest) -> Graph:
    return EXTREMES[request.param]()


class TestTheLargestWorkflows:
    @pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
    def test_whatever_becomes_of_a_run_its_writes_and_its_item_fit(
        self, graph: Graph, fails: bool
    ) -> None:
        table = Table()
        for at in range(layout.MAX_SIGNALS):  # before a worker has opened it, any may come
            table.apply(to.signal(f"{'e' * 36}_{at:03}", "x" * layout.INLINE_BYTES, NOW))
        table.apply(to.open_run("W" * 64, graph, {}, NOW + 31_536_000_000))
        for of in sorted({of for names in graph.awaits.values() for of in names}):
            table.apply(to.signal(of, "x" * layout.INLINE_BYTES, NOW))
            steps = table.run(graph).steps.values()
            waiting = [step for step in steps if of in step.awaits]
            other = "y" * layout.INLINE_BYTES
            table.apply(to.replace_signal(of, other, waiting, RunStatus.RUNNING, NOW))
        for of in graph.depends_on if not fails else graph.roots:
            table.claim(of, graph)
            table.apply(to.retry(of, TOKEN, 1, WORST, NOW))
            table.claim(of, graph)
            if not fails:
                run, behind = table.run(graph), graph.dependents[of]
                table.apply(to.complete(run, run.steps[of], TOKEN, LONG_OUTPUT, behind, NOW))
        if not fails:
            table.apply(to.finish(("result", "x" * layout.INLINE_BYTES), NOW))
            return
        for of in graph.roots:
            table.apply(to.fail(of, TOKEN, 2, WORST, RunStatus.RUNNING, NOW))
        table.apply(to.fail_run(WORST, NOW))
        for at in range(0, len(graph.roots), 40):
            table.apply(*(to.reset(of, 2) for of in graph.roots[at : at + 40]))
        table.apply(to.redrive(True, 7, NOW, NOW))

    def test_its_item_fits_with_every_step_failed_at_its_longest(self, graph: Graph) -> None:
        table = Table()
        table.apply(to.open_run("W" * 64, graph, {}, NOW))
        steps = table.item["steps"]["M"] = {of: {"M": {}} for of in graph.depends_on}
        left = {"token": TOKEN, "owner": "s" * 40, "error": WORST.to_json(), "status": "SUCCEEDED"}
        left["progress"] = "x" * layout.PROGRESS_BYTES
        for of in ("lease_until", "not_before", "redriven_at", "started_at", "ended_at"):
            left[of] = NOW  # type: ignore[assignment]
        for of in steps:
            steps[of]["M"] |= {at: layout.value(value) for at, value in left.items()}
        for at in range(2 * layout.MAX_SIGNALS):
            table.item[layout.signal_attribute(signal(at))] = {"S": "x" * layout.INLINE_BYTES}
        for of in steps:  # as if each had succeeded as well, and had started runs
            table.item[layout.started_attribute(of)] = {"S": "*99"}
        table.item[layout.started_attribute("s")] = {"S": "r" * CHOSEN_BYTES}
        by = StartedBy("r" * 64, "s" * 40, 98, NOW)
        table.item |= {"started_by": {"S": by.to_text()}, "not_before": {"N": str(NOW)}}
        table.apply(to.fail_run(WORST, NOW))
        assert limits.item_bytes(table.item) > limits.ITEM_BYTES * 0.25

    def test_its_graph_fits_an_item(self, graph: Graph) -> None:
        key = layout.definition_key("W" * 64, graph.version)
        assert not list(limits.operation_refusals({"Item": key | graph.to_item()}))


class TestWhatIsRefusedAtDecoration:
    def test_a_step_with_more_signals_than_a_claim_can_ask_for(self) -> None:
        for count in (MAX_AWAITS + 1, 152, 160):
            with pytest.raises(DefinitionError, match=rf"names {count} signals; at most 100 fit"):
                define({"a": ()}, {"a": [signal(at) for at in range(count)]})

    def test_more_different_signals_than_a_run_has_room_for(self) -> None:
        awaits = {name(at): [signal(at)] for at in range(layout.MAX_SIGNALS + 1)}
        with pytest.raises(DefinitionError, match=r"await 151 different signals; at most 150 fit"):
            define(dict.fromkeys(awaits, ()), awaits)

    def test_more_signals_in_all_than_a_run_has_room_for(self) -> None:
        awaits = {name(at): [signal(of) for of in range(91)] for at in range(11)}
        assert sum(map(len, awaits.values())) == MAX_AWAITS_IN_ALL + 1
        with pytest.raises(DefinitionError, match=r"await 1,001 signals in all.*at most 1,000 fit"):
            define(dict.fromkeys(awaits, ()), awaits)

    def test_a_signal_that_more_steps_await_than_a_replacement_can_ask_for(self) -> None:
        awaits = {name(at): [signal(0)] for at in range(101)}
        with pytest.raises(DefinitionError, match=r"101 steps await the signal .* at most 100 may"):
            define(dict.fromkeys(awaits, ()), awaits)

    def test_more_dependencies_than_the_graphs_item_holds(self) -> None:
        with pytest.raises(DefinitionError, match=r"10,000 dependencies .* at most 400,000 fit"):
            define(layers(100, 100))


class TestExpressions:
    @pytest.mark.parametrize("row", CHANGES)
    def test_a_change_is_never_longer_than_its_parts_say(self, row: str) -> None:
        # Alone it names everything anew, at two digits a placeholder; so it is at its longest.
        made = expression([CHANGES[row]], NOW, 90).arguments()
        counted = parts(CHANGES[row])
        for kind in ("ConditionExpression", "UpdateExpression"):
            assert len(made[kind]) + 20 <= PART_BYTES * counted
            assert limits.operators(kind, made[kind]) <= PART_OPERATORS * counted

    def test_the_rough_measure_agrees_with_the_exact_one(self) -> None:
        claim = to.claim_values(TOKEN, NOW, "", NOW)
        for count in range(1, 40):
            for signals in (0, 1, 5, 20):
                awaits = tuple(signal(at) for at in range(signals))
                changes = [
                    to.claim(name(at), claim, first=at % 2 == 0, awaits=awaits)
                    for at in range(count)
                ]
                assert fits(changes, NOW) == expression(changes, NOW, 90).fits

    @pytest.mark.parametrize("write", WRITES)
    def test_every_write_of_few_rows_fits(self, write: str) -> None:
        assert fits(WRITES[write], NOW)
        assert expression(WRITES[write], NOW, 90).fits

    @pytest.mark.parametrize(
        ("condition", "update", "says"),
        [
            ("a" * 4_093 + "=:a", "SET b=:b", None),
            ("a" * 4_094 + "=:a", "SET b=:b", "ConditionExpression has 4,097 bytes"),
            ("é" * 2_047 + "=:a", "SET b=:b", "ConditionExpression has 4,097 bytes"),
            (" AND ".join(["a=:a"] * 150), "SET b=:b", None),
            (" AND ".join(["a<:a"] * 151), "SET b=:b", "ConditionExpression has 301 operators"),
            (
                " OR ".join(["NOT attribute_exists(a)"] * 101),
                "SET b=:b",
                "ConditionExpression has 302 operators",
            ),
            ("a=:a", "SET " + ",".join(["b=b+:b"] * 300), None),
            ("a=:a", "SET " + ",".join(["b=b-:b"] * 301), "UpdateExpression has 301 operators"),
            (
                "a=:a",
                "SET " + ",".join(["b=if_not_exists(b,:b)"] * 100 + ["b=b+:b"] * 201),
                "UpdateExpression has 301 operators",
            ),
            (f"a IN ({','.join([':a'] * 101)})", "SET b=:b", "has 101 operands in one IN"),
        ],
    )
    def test_length_operators_and_operands(
        self, condition: str, update: str, says: str | None
    ) -> None:
        made = {"ConditionExpression": condition, "UpdateExpression": update}
        said = list(limits.expression_refusals(made))
        assert (said == []) if says is None else (says in said[0])

    def test_an_expression_knows_whether_it_fits(self) -> None:
        made = Expression()
        for at in range(60):
            made.require(f"{made.path('steps', name(at), 'status')}={made.value('RUNNING')}")
            assert made.fits
        for at in range(60, 160):
            made.require(f"{made.path('steps', name(at), 'status')}={made.value('RUNNING')}")
        assert not made.fits


def nested(depth: int) -> dict[str, Any]:
    return {"L": [nested(depth - 1)]} if depth else {"S": ""}


class TestCalls:
    @pytest.mark.parametrize(
        ("value", "size"),
        [
            ({"S": "é€"}, 5),
            ({"N": "1800000000000"}, 8),
            ({"N": "-" + "9" * 40}, 21),
            ({"B": b"abc"}, 3),
            ({"BOOL": True}, 1),
            ({"NULL": True}, 1),
            ({"SS": ["a", "bc"]}, 3),
            ({"NS": ["1", "22"]}, 5),
            ({"BS": [b"a"]}, 1),
            ({"L": [{"S": "a"}, {"S": "b"}]}, 7),
            ({"M": {"ab": {"S": "c"}}}, 7),
        ],
    )
    def test_values_are_measured_as_dynamodb_does(self, value: dict[str, Any], size: int) -> None:
        assert limits.value_bytes(value) == size

    @pytest.mark.parametrize(
        ("operation", "arguments", "says"),
        [
            ("PutItem", {"Item": {"a": {"S": "x" * 409_599}}}, None),
            ("PutItem", {"Item": {"a": {"S": "x" * 409_600}}}, "the item has 409,601 bytes"),
            ("PutItem", {"Item": {"a": nested(32)}}, None),
            ("PutItem", {"Item": {"a": nested(33)}}, "nested 33 levels deep"),
            ("UpdateItem", {"Key": {"pk": {"S": "k" * 2_049}}}, "the key pk has 2,049 bytes"),
            ("UpdateItem", {"Key": {"pk": {"S": ""}}}, "the key pk has 0 bytes"),
            (
                "UpdateItem",
                {"ExpressionAttributeValues": {":" + "v" * 255: {"S": ""}}},
                "a placeholder has 256 bytes",
            ),
            (
                "UpdateItem",
                {"ExpressionAttributeValues": {f":{at}": {"S": "x" * 400_000} for at in range(6)}},
                "have 2,400,000 bytes",
            ),
            ("TransactWriteItems", {"TransactItems": [{"Put": {}}] * 100}, None),
            ("TransactWriteItems", {"TransactItems": [{"Put": {}}] * 101}, "has 101 operations"),
            (
                "TransactWriteItems",
                {"TransactItems": [{"Put": {"Item": {"a": {"S": "x" * 400_000}}}}] * 11},
                "the items of the transaction have 4,400,011 bytes",
            ),
            ("SendMessage", {"MessageBody": "x" * 1_048_576}, None),
            ("SendMessage", {"MessageBody": "x" * 1_048_577}, "the message has 1,048,577 bytes"),
            ("SendMessage", {"MessageBody": ""}, "the message has 0 bytes"),
            (
                "SendMessageBatch",
                {"Entries": [{"MessageBody": "x", "MessageDeduplicationId": "d" * 129}]},
                "MessageDeduplicationId has 129 characters",
            ),
            ("SendMessageBatch", {"Entries": [{"MessageBody": "x"}] * 11}, "has 11 entries"),
            (
                "SendMessageBatch",
                {"Entries": [{"MessageBody": "x" * 600_000}] * 2},
                "the batch has 1,200,000 bytes",
            ),
        ],
    )
    def test_a_call_is_refused_beyond_its_limit_and_not_at_it(
        self, operation: str, arguments: dict[str, Any], says: str | None
    ) -> None:
        said = limits.refusals(operation, arguments)
        assert (said == []) if says is None else (says in said[0])
