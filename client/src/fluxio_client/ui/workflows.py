"""The pages of workflows: which there are, their versions, and the graph of each.

No index has the names of workflows alone, so those are shown that open and failed runs have; any other one has
its page, too. The graph of a version is stored, and the versions are those of a workflow's newest runs.
"""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from fluxio_client.cli.drawing import svg_for_page
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.selection import Filters
from fluxio_client.ui.overview import failed_runs, open_runs
from fluxio_client.ui.site import Site
from fluxio_protocol import layout

#: The newest runs of a workflow, whose versions are shown.
NEWEST = 50


def workflows(site: Site, request: Request) -> Response:
    """The workflows of open runs and of the last failed ones."""
    open_, failed = open_runs(site.session), failed_runs(site.session)
    at_work = Counter(run.workflow for run in open_.runs)
    broke = Counter(one.summary.workflow for one in failed.runs)
    return site.page(
        request,
        "workflows.html",
        title="Workflows",
        command=("list",),
        names=sorted({*at_work, *broke}),
        at_work=at_work,
        broke=broke,
        asked=request.query_params.get("workflow", ""),
    )


def workflow(site: Site, request: Request) -> Response:
    """A workflow: its versions, its newest runs, and the graph of one version."""
    session = site.session
    name = layout.check_workflow(request.path_params["workflow"])
    found = Filters((name,), limit=NEWEST).select(session)
    versions = Counter(one.version for one in found.runs if one.version)
    version = request.query_params.get("version") or next(iter(versions), None)
    graph = session.store.get_graph(name, version) if version else None
    if version and graph is None:
        raise NotFound(f"the table has no version {version!r} of a workflow {name!r}.")
    return site.page(
        request,
        "workflow.html",
        title=name,
        command=("graph", name, *(("--version", version) if version else ())),
        name=name,
        runs=found.runs[:10],
        looked_at=len(found.runs),
        versions=versions,
        version=version,
        picture=Markup(svg_for_page(graph, f"Graph of {name} {version}")) if graph else None,
    )
