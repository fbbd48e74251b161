"""Inputs, outputs, signals and results: only where they are asked for, cut on a page, whole as a download."""

from __future__ import annotations

import json
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.printable import printable, printable_json
from fluxio_client.ui.site import Site, href
from fluxio_protocol import layout
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, Step

#: Characters of a payload that a page shows.
SHOWN = 64 * 1024


class Payload(NamedTuple):
    """A value of a run: what it is, and where it stands."""

    #: As the address has it: "input", "result", "output:<step>", "signal:<name>".
    name: str
    #: As JSON text; None where it has an item of its own.
    text: str | None
    #: The sort key of that item.
    ref: str | None

    @classmethod
    def of_step(cls, step: Step) -> Payload | None:
        """The output of a step; None if it has none."""
        if step.output_json is None and step.output_ref is None:
            return None
        return cls(f"output:{step.name}", step.output_json, step.output_ref)

    @property
    def size(self) -> str:
        """How long it is, as far as it is known without reading it."""
        if self.text is None:
            return "long, in an item of its own"
        return f"{len(self.text.encode('utf-8', 'surrogatepass')):,} bytes"


def payloads_of(run: Run, graph: Graph | None) -> list[Payload]:
    """All values of a run; none is read that the run item does not have."""
    found = [Payload("input", run.input_json, run.input_ref)]
    found += [
        Payload(f"signal:{name}", text or None, None if text else layout.signal_ref(name))
        for name, text in run.signals_json.items()
    ]
    order = dict.fromkeys([*(graph.depends_on if graph else ()), *run.steps])
    outputs = [Payload.of_step(run.steps[name]) for name in order if name in run.steps]
    found += [one for one in outputs if one]
    if run.result_json is not None or run.result_ref is not None:
        found.append(Payload("result", run.result_json, run.result_ref))
    return found


def payload(site: Site, request: Request) -> Response:
    """The page of one value, or the value itself as a file."""
    from fluxio_client.ui.run import read

    run = read(site, layout.check_run_id(request.path_params["run_id"]))
    name = request.query_params.get("of", "")
    wanted = next((one for one in payloads_of(run, None) if one.name == name), None)
    if wanted is None:
        raise NotFound(f"run {run.run_id} has no value {name!r}: its page lists those that it has.")
    text = wanted.text
    if text is None and wanted.ref is not None:
        text = site.session.store.payloads.get(run.run_id, wanted.ref)
    if "download" in request.query_params:
        file = "".join(one if one.isalnum() and one.isascii() else "-" for one in name)
        return PlainTextResponse(
            text or "",
            headers={"content-disposition": f'attachment; filename="{run.run_id}-{file}.json.txt"'},
        )
    pretty = readable(text or "null")
    return site.page(
        request,
        "payload.html",
        title=f"{name} of {run.run_id}",
        command=("show", run.run_id, "--input" if name in ("input",) else "--output"),
        run=run,
        name=name,
        text=pretty[:SHOWN],
        cut_off=len(pretty) > SHOWN,
        download=href("runs", run.run_id, "payload", of=name, download="1"),
    )


def readable(text: str) -> str:
    """JSON text, indented; what is none as it is."""
    try:
        return printable_json(json.loads(text))
    except (ValueError, RecursionError):
        return printable(text)
