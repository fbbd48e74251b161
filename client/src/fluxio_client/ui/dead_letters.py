"""The page of the dead-letter queue: its messages with the runs that they are about."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fluxio_client.cli.letters import about, dead_letter_url, hidden, read_letters
from fluxio_client.ui.site import Site

#: Messages that a look takes at most.
LOOKED_AT = 100


def dead_letters(site: Site, request: Request) -> Response:
    """The page. Looking does not consume: what is received is given back at once."""
    url = dead_letter_url(site.session)
    found = read_letters(site.session, url, LOOKED_AT)
    return site.page(
        request,
        "dead_letters.html",
        title="Dead letters",
        command=("dlq", "list"),
        url=url,
        letters=found.letters,
        full=len(found.letters) == LOOKED_AT,
        hidden=hidden(found.refusal) if found.refusal else "",
        about=about(site.session, url),
        useless=sum(not letter.useful for letter in found.letters),
    )
