"""A trace as headers carry it and runs keep it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fluxio_protocol.trace import Trace

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"


@pytest.mark.parametrize(
    "header",
    [
        f"Root={ROOT};Parent={PARENT};Sampled=1",
        f"Sampled=1; Root={ROOT}; Parent={PARENT}",
        f"Self=1-67891234-12456789abcdef012345678;Root={ROOT};Parent={PARENT};Sampled=1;Lineage=1:2:3",
    ],
)
def test_a_sampled_header_names_a_place_in_a_trace(header: str) -> None:
    assert Trace.from_header(header) == (ROOT, PARENT)


@pytest.mark.parametrize("parent", ["", ";Parent=", ";Parent=not-a-segment", f";Parent={PARENT}0"])
def test_a_header_without_a_segment_names_the_trace_alone(parent: str) -> None:
    trace = Trace.from_header(f"Root={ROOT}{parent};Sampled=1")
    assert trace == (ROOT, "")
    assert trace is not None
    assert trace.header == f"Root={ROOT};Sampled=1"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ";;=;Sampled=1",
        f"Root={ROOT};Parent={PARENT};Sampled=0",
        f"Root={ROOT};Parent={PARENT};Sampled=?",
        f"Root={ROOT};Parent={PARENT}",
        f"Parent={PARENT};Sampled=1",
        "Root=1-5759e988;Sampled=1",
        f"Root={ROOT}'; DROP TABLE runs;Sampled=1",
        f"Root={ROOT[:20]}\n{ROOT[20:]};Sampled=1",
    ],
)
def test_what_is_not_sampled_or_cannot_be_read_is_no_trace(header: str | None) -> None:
    assert Trace.from_header(header) is None


def test_a_header_is_read_as_it_was_written() -> None:
    trace = Trace(ROOT, PARENT)
    assert Trace.from_header(trace.header) == trace


def test_a_run_keeps_the_traces_id_in_22_characters() -> None:
    text = Trace(ROOT, PARENT).text
    assert text == "V1npiL2GLj_hvkaplCcnkw"
    assert Trace.from_text(text) == (ROOT, "")


@pytest.mark.parametrize("text", [None, "", "a", "later-form:1", f"Root={ROOT}", "ä" * 22])
def test_a_form_that_this_version_does_not_know_is_no_trace(text: str | None) -> None:
    assert Trace.from_text(text) is None


def test_a_fresh_trace_has_its_time_and_is_no_other() -> None:
    one, other = Trace.fresh(1_465_510_280_000), Trace.fresh(1_465_510_280_000)
    assert one.root.startswith("1-5759e988-")
    assert Trace.from_header(one.header) == one
    assert one != other


def test_the_client_imports_no_tracing_sdk() -> None:
    code = (
        "import sys, fluxio_client.client, fluxio_protocol.trace; "
        "print(*sorted({'aws_xray_sdk', 'wrapt', 'opentelemetry'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
