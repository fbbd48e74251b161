"""docs/cost.md: every figure on the page follows from the code's prices and from what the tests count."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import pytest

from fluxio.metrics import METRICS
from fluxio.testing.aws import Aws
from fluxio.testing.in_place import InPlace
from fluxio.testing.platform import (
    Invocation,
    Workflows,
    make_client,
    make_worker,
    records_of,
)
from fluxio_client.cli.bill import Compute as Function
from fluxio_client.cli.bill import Usage, bill, operations, transitions
from fluxio_client.cli.prices import AS_OF, PRICES, REGION
from fluxio_client.listing import MOST_OPEN, MOST_READ
from fluxio_protocol import layout
from fluxio_protocol.calls import BATCH_KEYS
from fluxio_protocol.graph import Graph
from tests.simulation.workflows import ORDER, OrderFulfillment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
BODY, SOURCES = PAGE.split("## Sources")
LISTED = BODY.partition("## Unit prices")[2]
BUDGETS = (ROOT / "tests" / "emulator" / "test_budgets.py").read_text(encoding="utf-8")

MILLION = 10**6

#: A month of 30 days for what is counted by the minute, and AWS's own 730 hours for what is paid by the hour.
MINUTES, HOURS = 30 * 24 * 60, 730

#: Prices that no code needs. The page names the source of each.
WRITE_CAPACITY_HOUR = 0.00065
SCHEDULED = 1 / MILLION
METRIC, ALARM = 0.30, 0.10
COMPOSITE, DASHBOARD = 0.50, 3.00
LOG_GIGABYTE = 0.50
KEY_REQUEST = 0.03 / 10_000
TRACE = 5 / MILLION

#: Those that the worker writes each minute, whether there is anything to do or not.
SWEEP_METRICS = ("sweeps", "sweep_finds", "sweep_lag")

FAN_OUT = Graph.of_steps(
    {
        "validate_payment": (),
        "charge_card": ("validate_payment",),
        "reserve_inventory": ("validate_payment",),
        "send_confirmation": ("validate_payment",),
        "fulfill_order": ("charge_card", "reserve_inventory", "send_confirmation"),
    }
)
CLAIM = Graph.of_steps(
    {
        "register": (),
        "check_policy": ("register",),
        "score_fraud": ("register",),
        "estimate_damage": ("register",),
        "decide": ("check_policy", "score_fraud", "estimate_damage"),
        "pay_out": ("decide",),
        "book": ("pay_out",),
        "notify": ("book",),
    }
)
#: What a run of one step costs in writes (a chain costs one more for each step more), and in its indexes.
ONE_STEP, ONE_STEP_INDEXES = 8 - 5, 3
#: Read units of a run item of up to 4 KB, and of a page of an index of up to 4 KB, both eventually consistent;
#: and at most so many bytes of an entry of `failed`: keys, names, status and times.
ITEM_READ, KEYS_READ, FAILED_ENTRY = 0.5, 0.5, 300


def chain(length: int) -> Graph:
    return Graph.of_steps({f"s{at}": (f"s{at - 1}",) if at else () for at in range(length)})


def fan(width: int) -> Graph:
    branches = {f"b{at}": ("begin",) for at in range(width)}
    return Graph.of_steps({"begin": (), **branches, "end": tuple(branches)})


def dollars(amount: float) -> str:
    return f"${amount + 1e-9:,.2f}"


def price(of: str, amount: float) -> float:
    return PRICES[of].of(amount)


def run_cost(writes: int, index_units: int, messages: int) -> float:
    """A million runs as `fluxio cost` bills them, without the time the steps take."""
    usage = Usage()
    usage.add_start()
    for at in range(messages):
        last = at == messages - 1
        usage.add_line(
            {
                "write_units": writes - 1 if last else 0,
                "index_write_units": index_units - 2 if last else 0,
                "sent": messages - 1 if last else 0,
                "request_id": f"r-{at}",
            }
        )
    *lines, duration = bill(usage, Function(512, "x86_64"))
    assert duration.what == "Lambda duration"
    return sum(line.dollars_per_million for line in lines)


def row(name: str, graph: Graph, writes: int, index_units: int, messages: int) -> str:
    attempts = len(graph.depends_on)
    cells = [
        name,
        f"{writes} + {index_units}",
        str(messages),
        dollars(run_cost(writes, index_units, messages)),
        dollars(price("step_functions", transitions(graph, attempts) * MILLION)),
        dollars(price("durable_operation", operations(graph, attempts) * MILLION)),
    ]
    return line(*cells)


def look(name: str, read_units: float) -> str:
    return line(name, f"{read_units:.0f}", dollars(price("dynamodb_read", read_units * MILLION)))


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def computed() -> list[str]:
    """What the page must say, as it says it."""
    write = price("dynamodb_write", MILLION)
    request = price("sqs_fifo", MILLION)
    invocation = price("lambda_request", MILLION)
    by_dimensions = [
        sum(dimensions in metric.dimensions for metric in METRICS.values())
        for dimensions in (("worker",), ("worker", "workflow"), ("worker", "workflow", "step"))
    ]
    worker, workflow, step = by_dimensions
    metrics = worker + workflow + 5 * step
    sweep_reads = layout.SHARDS * 0.5
    polls = 5 * 3 * MINUTES
    key_requests = MINUTES // 5 * 5
    second = Function(512, "x86_64").line(1000).dollars_per_million
    arm = Function(512, "arm64").line(1000).dollars_per_million
    units = 10 * (5 + 3)  # ten runs a second
    capacity = round(units / 0.7)
    # The share of an hour in which a unit of capacity has cost what its writes would have cost on demand.
    even = WRITE_CAPACITY_HOUR / price("dynamodb_write", 3600)
    standing = [
        price("sqs_fifo", polls),
        SCHEDULED * MINUTES,
        price("lambda_request", MINUTES),
        price("dynamodb_read", sweep_reads * MINUTES),
    ]
    idle = sum(standing) + ALARM * alarm_metrics() + COMPOSITE + DASHBOARD
    idle += METRIC * len(SWEEP_METRICS)
    return [
        row("OrderFulfillment, branches as threads", FAN_OUT, 5, 3, 1),
        row("the same, a message per branch", FAN_OUT, 9, 3, 3),
        row("a chain of 6 steps", chain(6), 8, 3, 1),
        row("a chain of 20 steps", chain(20), 24, 3, 1),
        row("a chain of 100 steps, outputs of 100 bytes", chain(100), 150, 3, 1),
        row("a fan-out of 20", fan(20), 22, 3, 1),
        row("a fan-out of 100", fan(100), 100, 3, 1),
        row("a fan-out of 100, outputs of 100 bytes", fan(100), 200, 3, 1),
        row("8 steps, a fan-out, an approval, a table of your own", CLAIM, 14, 7, 2),
        line("a step more in a chain", "1 write unit", dollars(write)),
        line(
            "a retry",
            "2 write units, 2 requests, an invocation",
            dollars(2 * write + 2 * request + invocation),
        ),
        line("a run item between 1 and 2 KB", "at most 5 write units more", dollars(5 * write)),
        line("an output of 10,000 bytes", "20 write units more", dollars(20 * write)),
        line(
            "a signal that a step waits for",
            f"{6 - ONE_STEP} write units, {7 - ONE_STEP_INDEXES} of the indexes, a message",
            dollars((6 - ONE_STEP + 7 - ONE_STEP_INDEXES) * write + 3 * request + invocation),
        ),
        line(
            "a step that calls `ctx.transact` with one small item",
            f"{6 - ONE_STEP} write units",
            dollars((6 - ONE_STEP) * write),
        ),
        # Its item and the step's completion are written by a transaction, at two units each instead of one:
        # tests/moto/test_starts.py counts the writes and holds the item below a kilobyte.
        line(
            "a run that a step starts by `ctx.start`, over one that a program starts",
            "2 write units",
            dollars(2 * write),
        ),
        line(
            "a second of the worker at 512 MB",
            "0.5 GB-seconds",
            f"{dollars(second)}; {dollars(arm)} on arm64",
        ),
        look("a page of 50 runs of a workflow", 51 * ITEM_READ + layout.SHARDS * KEYS_READ),
        look(
            "its open runs, where the table has 100 open runs",
            100 * ITEM_READ + layout.SHARDS * KEYS_READ,
        ),
        look("50 failed runs of a workflow", -(-52 * FAILED_ENTRY // 4096) * KEYS_READ),
        f"that is {100_000 * ITEM_READ:,.0f} read units",
        f"a thousand such looks are {dollars(price('dynamodb_read', 1000 * 100_000 * ITEM_READ))}",
        f"up to {MOST_OPEN:,} of them are read",
        f"some {MOST_READ:,} runs at most ({MOST_READ * ITEM_READ:,.0f} read units)",
        f"and each takes {100_000 // BATCH_KEYS:,} calls; `doctor` stops after",
        line("sweeps", f"{MINUTES:,}", dollars(sum(standing[1:]))),
        line("polling", f"{polls:,} requests", dollars(standing[0])),
        line("the composite alarm", "1", dollars(COMPOSITE)),
        line("the dashboard", "1", dollars(DASHBOARD)),
        line("the sweep's metrics", str(len(SWEEP_METRICS)), dollars(METRIC * len(SWEEP_METRICS))),
        line("**all of this**", "", f"**{dollars(idle)}**").replace("|  |", "| |"),
        line(
            "the other metrics, where there is work",
            str(metrics - len(SWEEP_METRICS)),
            dollars(METRIC * (metrics - len(SWEEP_METRICS))),
        ),
        f"{MINUTES // 5:,}\n  requests, {dollars(KEY_REQUEST * MINUTES / 5)}, and",
        f"a hundred of them {dollars(100 * KEY_REQUEST * MINUTES / 5)}",
        f"{worker} of the worker, {workflow} of each workflow and {step} of each step",
        line("alarms", f"{alarm_metrics()} metrics", dollars(ALARM * alarm_metrics())),
        line(
            "a key of your own",
            f"{key_requests:,} requests",
            dollars(1 + KEY_REQUEST * key_requests),
        ),
        f"{dollars(sum(standing))} a month",
        f"{100 * even:.0f} % of the time",
        line(
            "on demand",
            f"{units} write units a second",
            dollars(price("dynamodb_write", units * 3600 * HOURS)),
        ),
        line(
            "provisioned, used to 70 %",
            f"{capacity} units of capacity",
            dollars(WRITE_CAPACITY_HOUR * HOURS * capacity),
        ),
        f"{dollars(WRITE_CAPACITY_HOUR * HOURS * 4)} a month",
        f"{dollars(TRACE * MILLION)} per million traces",
        f"{dollars(2 * request + invocation)} per million messages",
    ]


def alarm_metrics() -> int:
    """The metrics that the module's alarms look at: one each, but for the sum over a table and its indexes."""
    alarms = (ROOT / "modules" / "fluxio" / "alarms.tf").read_text(encoding="utf-8")
    names = re.findall(r"^    (\w+) = \{$", alarms, re.MULTILINE)
    indexes = (layout.INDEX_BY_WORKFLOW, layout.INDEX_DUE, layout.INDEX_FAILED)
    return len(names) - 1 + 2 * (1 + len(indexes))


@pytest.mark.parametrize("said", computed())
def test_the_page_says_what_is_computed(said: str) -> None:
    assert said in BODY


def test_no_figure_of_the_page_is_neither_computed_nor_a_listed_price() -> None:
    known = {*re.findall(r"\$[\d.,]*\d", " ".join(computed()) + LISTED)}
    known |= {dollars(LOG_GIGABYTE * size * MILLION / 10**9) for size in log_bytes()}

    assert {*re.findall(r"\$[\d.,]*\d", BODY.replace(LISTED, ""))} - known == set()


def test_the_listed_prices_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| .+ \| \$([\d.]+) per .* \| `(\w+)` \|$", LISTED, re.MULTILINE)
    listed = {name: float(amount) for amount, name in rows}
    in_millions = {
        name: round(one.dollars * (MILLION / one.per if one.per > 1 else 1), 10)
        for name, one in PRICES.items()
    }

    assert listed == in_millions
    assert f"List prices in US dollars of {REGION}, as published in {AS_OF}," in BODY


def test_the_prices_that_no_code_needs_are_listed_as_they_are_used() -> None:
    for said in (
        f"${WRITE_CAPACITY_HOUR:.5f} per hour",
        f"${SCHEDULED * MILLION:g} per million | [8]",
        f"${METRIC:.2f}, ${ALARM:.2f} a month",
        f"${COMPOSITE:.2f}, ${DASHBOARD:.2f} a month",
        f"${LOG_GIGABYTE:.2f} per GB",
        f"$1 a month, ${KEY_REQUEST * 10_000:g} per 10,000",
        f"${TRACE * MILLION:g} per million | [9]",
    ):
        assert said in LISTED


def test_the_counts_are_the_budgets_of_the_emulator() -> None:
    for test, wanted in (
        ("with_inline_branches_costs", {"writes": 5, "write_units": 5, "index_units": 3}),
        ("with_a_nudge_per_branch_costs", {"writes": 9, "write_units": 9, "index_units": 3}),
        ("a_chain_of_6_costs", {"writes": 8, "write_units": 8}),
        ("waits_for_a_signal_costs", {"write_units": 6, "index_units": 7, "messages": 2}),
        ("a_write_of_the_users_own_costs", {"write_units": 6}),
        ("a_claim_of_8_steps_costs", {"write_units": 14, "index_units": 7, "messages": 2}),
    ):
        body = re.search(rf"def test_\w*{test}.*?(?=\ndef |\Z)", BUDGETS, re.DOTALL)
        assert body
        allowed = dict(re.findall(r'spent\["(\w+)"\] <= (\d+)', body[0]))
        assert {name: int(allowed[name]) for name in wanted} == wanted
    for workflow, size, units in (
        ("Chain20", 12, 24),
        ("Chain100", 100, 150),
        ("Fan20", 12, 22),
        ("Fan100", 12, 100),
        ("Fan100", 100, 200),
    ):
        assert f'("{workflow}", {size}, {units}),' in BUDGETS


def log_bytes() -> tuple[int, int]:
    """Bytes that a worker logs for a run of OrderFulfillment, with INFO lines and without, to the hundred."""
    aws, tokens = Aws(120), count(1)
    worker = make_worker(
        aws,
        Workflows.of(OrderFulfillment),
        10,
        now=aws.clock.now,
        new_token=lambda: f"t{next(tokens)}",
        chance=lambda: 0.0,
        new_threads=lambda: InPlace(aws.clock, True),
        sleep=aws.clock.advance,
    )
    make_client(aws).start("OrderFulfillment", ORDER, run_id="order-o-1001")
    found = aws.sqs.client().receive_message(QueueUrl=aws.queue.url, MaxNumberOfMessages=10)
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fluxio.log.write_stderr", lines.append)
        worker.handle({"Records": records_of(found)}, Invocation(aws.clock, aws.clock.at + 120_000))
    metrics = sum(len(line) for line in lines if '"_aws"' in line)
    return round(sum(map(len, lines)), -2), round(metrics, -2)


def test_the_log_of_a_run_is_as_long_as_the_page_says() -> None:
    every, metrics = log_bytes()
    cost, least = (dollars(LOG_GIGABYTE * size * MILLION / 10**9) for size in (every, metrics))

    assert f"| the log of OrderFulfillment | {every:,} bytes | {cost} |" in BODY
    assert f"{metrics:,} bytes ({least})" in BODY


def test_every_source_is_dated_and_used() -> None:
    assert {*re.findall(r"\[(\d+)\]", BODY)} == {*re.findall(r"(?m)^(\d+)\. ", SOURCES)}
    assert all(re.search(r"20\d\d|estimate", one) for one in re.split(r"(?m)^\d+\. ", SOURCES)[1:])
