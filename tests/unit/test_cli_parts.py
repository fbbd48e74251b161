"""The smaller parts of the command: times, failures, exit codes, what a step waits for, prices."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore import exceptions as aws

from fluxio_client import InvalidInput, Run, RunStatus, Step, StepStatus
from fluxio_client.cli.bill import (
    Compute,
    Usage,
    bill,
    durable_functions,
    operations,
    step_functions,
    total,
    transitions,
)
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import explain
from fluxio_client.cli.moments import iso, length, moment_of, seconds_of
from fluxio_client.cli.prices import AS_OF, PRICES
from fluxio_client.cli.waiting import For, waiting
from fluxio_protocol import errors
from fluxio_protocol.graph import Graph

NOW = 1_800_000_000_000

# --- times


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("1.5h", 5_400_000),
        ("3d", 259_200_000),
    ],
)
def test_since_takes_how_long_ago(text: str, milliseconds: int) -> None:
    assert moment_of(text, NOW) == NOW - milliseconds


@pytest.mark.parametrize("text", ["2026-03-01T22:15:00Z", "2026-03-01T23:15:00+01:00"])
def test_since_takes_an_iso_time_with_a_zone(text: str) -> None:
    expected = datetime(2026, 3, 1, 22, 15, tzinfo=timezone.utc)

    assert moment_of(text, NOW) == int(expected.timestamp() * 1000)
    assert iso(moment_of(text, NOW)) == "2026-03-01T22:15:00.000Z"


def test_an_iso_time_without_a_zone_is_local_time() -> None:
    local = datetime(2026, 3, 1, 22, 15).astimezone()

    assert moment_of("2026-03-01T22:15", NOW) == int(local.timestamp() * 1000)


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-2h", "h"])
def test_a_time_that_is_none_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidInput, match="2h"):
        moment_of(text, NOW)
    with pytest.raises(InvalidInput, match="15m"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0416, "42 ms"),
        (0.9999, "1.00 s"),
        (1.96, "1.96 s"),
        (59.99, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (90_000, "1 d 1 h"),
        (None, "-"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert length(seconds) == text


# --- failures


def answer(code: str, message: str = "", operation: str = "Query") -> aws.ClientError:
    return aws.ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (
            answer(
                "AccessDeniedException",
                "User: arn:x is not authorized to perform: dynamodb:Query on resource: arn:y",
            ),
            "AWS denies dynamodb:Query",
            ExitCode.AWS,
        ),
        (answer("AccessDenied", operation="SendMessage"), "AWS denies SendMessage", ExitCode.AWS),
        (answer("ExpiredTokenException"), "aws sso login", ExitCode.AWS),
        (answer("UnrecognizedClientException"), "AWS_PROFILE", ExitCode.AWS),
        (answer("QueueDoesNotExist"), "FLUXIO_QUEUE_URL", ExitCode.USAGE),
        (
            answer("ValidationException", "The provided key element does not match the schema"),
            "--table-name or FLUXIO_TABLE_NAME",
            ExitCode.USAGE,
        ),
        (answer("ValidationException", "Limit must be 1"), "Limit must be 1", ExitCode.AWS),
        (answer("SomethingElse", "no"), "AWS refused Query (SomethingElse): no", ExitCode.AWS),
        (aws.NoCredentialsError(), "no AWS credentials", ExitCode.AWS),
        (aws.NoRegionError(), "--region", ExitCode.AWS),
        (aws.EndpointConnectionError(endpoint_url="http://x"), "--endpoint-url", ExitCode.AWS),
        (aws.ConnectTimeoutError(endpoint_url="http://x"), "cannot be reached", ExitCode.AWS),
        (aws.ProfileNotFound(profile="p"), "AWS_PROFILE", ExitCode.AWS),
        (aws.TokenRetrievalError(provider="sso", error_msg="x"), "aws sso login", ExitCode.AWS),
        (errors.RunNotFound("no run"), "no run", ExitCode.NOT_FOUND),
        (errors.RunEnded("ended"), "ended", ExitCode.ERROR),
        (errors.SettingError("set it"), "set it", ExitCode.USAGE),
    ],
)
def test_a_failure_is_one_line_with_its_remedy_and_its_exit_code(
    error: Exception, says: str, code: ExitCode
) -> None:
    found = explain(error)

    assert found is not None
    assert says in found.message
    assert "\n" not in found.message
    assert found.code is code


def test_a_mistake_of_our_own_is_not_explained_away() -> None:
    assert explain(KeyError("x")) is None


def test_each_exit_code_is_one_number_with_one_meaning() -> None:
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 6, 7, 130]
    assert len({code.meaning for code in ExitCode}) == len(ExitCode)


# --- the entry


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def test_without_the_extra_the_command_says_how_to_get_it() -> None:
    hide = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name: None if name == 'typer' else find(name); "
        "from fluxio_client.cli.entry import main; main()"
    )

    said = python("-c", hide)

    assert said.returncode == ExitCode.ERROR
    assert said.stderr.count("\n") == 1
    assert 'pip install "fluxio-client[cli]"' in said.stderr


def test_the_client_alone_does_not_import_the_command() -> None:
    asked = (
        "import sys, fluxio_client, fluxio_client.cli.archive; "
        "print(*sorted({'typer', 'rich', 'fluxio_client.cli.app'} & {*sys.modules}))"
    )

    assert python("-c", asked).stdout.strip() == ""


def test_the_module_runs_as_the_command() -> None:
    said = python("-m", "fluxio_client.cli", "--version")

    assert said.returncode == 0
    assert said.stdout.startswith("fluxio ")


def test_a_reader_that_goes_away_is_no_failure() -> None:
    """As `fluxio show --help | head -1` does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fluxio_client.cli", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    process.wait()

    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_completion_is_there_for_the_usual_shells() -> None:
    for shell in ("bash", "zsh", "fish"):
        said = python(
            "-m",
            "fluxio_client.cli",
            _FLUXIO_COMPLETE=f"source_{shell}",
            _TYPER_COMPLETE_TESTING="1",
        )
        assert "_FLUXIO_COMPLETE" in said.stdout


# --- what a step waits for

GRAPH = Graph.of_steps({"a": (), "b": ("a",)}, {"b": ("go",)})


def stands(a: dict[str, Any], b: dict[str, Any], **more: Any) -> tuple[Any, Any]:
    steps = {"a": Step("a", **a), "b": Step("b", total_deps=1, awaits=("go",), **b)}
    given: dict[str, Any] = {"status": RunStatus.RUNNING, "created_at": NOW, "steps": steps} | more
    run = Run(run_id="r", workflow="W", version="v", **given)
    return tuple(waiting(run, step, GRAPH, NOW) for step in steps.values())  # type: ignore[return-value]


DONE = {"status": StepStatus.SUCCEEDED}
PENDING = {"status": StepStatus.PENDING}


def test_a_step_waits_for_steps_then_signals_then_a_worker() -> None:
    assert stands(PENDING, PENDING)[1].names == ("a",)
    assert stands(DONE, PENDING | {"completed_deps": 1})[1].names == ("go",)
    arrived = stands(DONE, PENDING | {"completed_deps": 1}, signals_json={"go": "{}"})
    assert arrived[1].what is For.WORKER


def test_a_step_waits_for_its_backoff_its_lease_or_a_takeover() -> None:
    running = {"status": StepStatus.RUNNING, "attempt": 1}

    assert stands(PENDING | {"not_before": NOW + 1}, PENDING)[0].what is For.BACKOFF
    assert stands(running | {"lease_until": NOW + 1}, PENDING)[0].what is For.LEASE
    over = stands(running | {"lease_until": NOW - 25_000}, PENDING)[0]
    assert over.what is For.TAKEOVER
    assert over.sentence(NOW) == "its lease ended 25.0 s ago; another worker takes it over"


def test_steps_of_a_run_that_has_ended_wait_for_nothing() -> None:
    assert stands(PENDING, PENDING, status=RunStatus.FAILED) == (None, None)


# --- the bill

ORDER = Graph.of_steps(
    {
        "validate": (),
        "charge": ("validate",),
        "reserve": ("validate",),
        "confirm": ("validate",),
        "fulfill": ("charge", "reserve", "confirm"),
    }
)
CHAIN = Graph.of_steps({f"s{at}": (f"s{at - 1}",) if at else () for at in range(20)})


def test_peers_are_counted_by_their_own_rules() -> None:
    """Step Functions: a transition a state, Parallel too. Durable functions: the execution, steps, branches."""
    assert (transitions(ORDER, 5), operations(ORDER, 5)) == (6, 10)
    assert (transitions(CHAIN, 20), operations(CHAIN, 20)) == (20, 21)
    assert (transitions(ORDER, 6), operations(ORDER, 6)) == (7, 11)  # one attempt more


def test_a_bill_is_the_counted_units_at_the_listed_prices() -> None:
    usage = Usage()
    for run in range(2):
        usage.add_start()
        usage.add_line(
            {
                "writes": 6,
                "write_units": 6,
                "index_write_units": 1,
                "reads": 1,
                "sent": 0,
                "ms": 100,
            }
            | {"request_id": f"r-{run}"}
        )
    usage.attempts, usage.step_milliseconds = 10, 150
    compute = Compute(1024, "arm64")

    own = bill(usage, compute)

    assert [line.amount for line in own] == [7, 3, 1, 3, 1, 0.1]
    assert total(own) == pytest.approx(
        7 * 0.625 + 3 * 0.625 + 0.125 + 3 * 0.5 + 0.2 + 0.1 * 13.3334
    )
    assert total(step_functions(ORDER, usage, compute)[:1]) == pytest.approx(150)
    assert total(durable_functions(ORDER, usage, compute)[:1]) == pytest.approx(80)


def test_an_invocation_that_handles_two_messages_is_counted_once() -> None:
    usage = Usage()
    usage.add_start()
    for _ in range(2):
        usage.add_line({"request_id": "r-1", "ms": 10})

    assert len(usage.invocations) == 1
    assert usage.milliseconds == 20


def test_each_price_has_its_source_and_the_table_its_date() -> None:
    assert AS_OF
    for price in PRICES.values():
        assert price.dollars > 0
        assert price.source.startswith("https://aws.amazon.com/")
