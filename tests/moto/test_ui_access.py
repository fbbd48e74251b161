"""Nobody gets in to the pages of `fluxio ui` but the browser that was let in, and no payload acts on a page."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import stat
import threading
import time
import webbrowser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn

from fluxio_client.cli.session import Session
from fluxio_client.ui import server
from fluxio_client.ui.access import Access
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node
from fluxio_protocol.run import Failure
from fluxio_protocol.store import Store
from tests.moto.cli import make_command
from tests.moto.pages import FROM_HERE, ORIGIN, PORT, Pages
from tests.moto.pump import World

pytestmark = pytest.mark.once


@pytest.fixture
def session(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Session:
    make_command(world, capfd, monkeypatch)
    monkeypatch.setattr(Session, "dynamodb", world.dynamodb)
    return Session()


@pytest.fixture
def pages(session: Session) -> Pages:
    return Pages(session)


# --- the name of the server


@pytest.mark.parametrize(
    "host",
    [
        f"127.0.0.1.evil.example:{PORT}",  # begins like it
        f"127.0.0.1:{PORT}.evil.example",
        f"evil.example:{PORT}",  # rebound to loopback
        f"127.0.0.1@evil.example:{PORT}",
        f"evil.example#127.0.0.1:{PORT}",
        f"localhost.evil.example:{PORT}",
        f"0.0.0.0:{PORT}",
        f"127.0.0.2:{PORT}",
        f"127.1:{PORT}",
        f"2130706433:{PORT}",
        f"[::]:{PORT}",
        f"[::ffff:127.0.0.1]:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1:{PORT} ",
        f"127.0.0.1:0{PORT}",
        "",
    ],
)
def test_a_request_that_names_another_server_is_refused_also_with_the_cookie(
    pages: Pages, host: str
) -> None:
    assert pages.get("/", host=host).status_code == 421
    assert pages.get("/static/fluxio.css", host=host).status_code == 421


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_each_name_of_loopback_is_the_server(pages: Pages, host: str) -> None:
    # The browser of the test keeps its cookie for the name that it was let in by.
    cookie = pages.browser.cookies[pages.access.cookie_name]

    answer = pages.get("/help", host=host, cookie=f"{pages.access.cookie_name}={cookie}")

    assert answer.status_code == 200


def test_a_request_with_two_hosts_or_none_is_refused() -> None:
    access = Access(PORT)
    host = (b"host", f"127.0.0.1:{PORT}".encode())

    assert access.is_addressed([host])
    assert not access.is_addressed([host, (b"host", b"evil.example")])
    assert not access.is_addressed([host, host])
    assert not access.is_addressed([])


# --- the token and the cookie


PATHS = ["/", "/runs", "/runs/r-1", "/runs/r-1/payload?of=input", "/static/fluxio.js", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_nothing_is_shown(pages: Pages, path: str) -> None:
    answer = pages.stranger().get(path)

    assert answer.status_code == 401
    assert pages.site.session.table not in answer.text


def test_the_address_lets_one_browser_in_once(session: Session) -> None:
    pages = Pages(session)
    first = Access(PORT).address  # of another server
    assert pages.stranger().get(first).status_code == 401

    again = pages.stranger()
    answer = again.get(pages.access.address)

    assert answer.status_code == 401
    assert "was used already" in answer.text
    assert again.get("/").status_code == 401


def test_the_cookie_is_strict_hidden_from_scripts_and_named_with_the_port(
    session: Session,
) -> None:
    pages = Pages.__new__(Pages)
    Pages.__init__(pages, session)
    pages.access._token = "again"

    answer = pages.stranger().get("/enter?token=again")

    set_cookie = answer.headers["set-cookie"]
    assert set_cookie.startswith(f"fluxio_ui_{PORT}=")
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert "Domain" not in set_cookie
    # A page that goes on by itself, so that the cookie is sent wherever the address was clicked.
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/"' in answer.text


@pytest.mark.parametrize("token", ["", "x", "None", "%00", "é"])
def test_a_guessed_token_is_refused_and_spends_none(pages: Pages, token: str) -> None:
    access = Access(PORT)

    assert not access.exchange(token)
    assert access.exchange(access.address.partition("token=")[2])
    assert not access.exchange(access.address.partition("token=")[2])


@pytest.mark.parametrize("cookie", ["{name}=", "{name}=x", "other={value}", "{name}={value}x", '"'])
def test_another_cookie_is_not_the_cookie(pages: Pages, cookie: str) -> None:
    name = pages.access.cookie_name
    value = pages.browser.cookies[name]

    answer = pages.stranger().get("/", headers={"cookie": cookie.format(name=name, value=value)})

    assert answer.status_code == 401


def test_a_link_from_elsewhere_is_gone_on_with_from_here(pages: Pages) -> None:
    """A chat's link to a run comes without the cookie; a click on the page that answers it comes with it."""
    answer = pages.stranger().get("/runs/r-1?view=timeline&x=%22><script>")

    assert 'href="/runs/r-1?view=timeline&amp;x=%22' in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example"])
def test_the_page_for_strangers_leads_nowhere_else(pages: Pages, path: str) -> None:
    answer = pages.stranger().get(f"{ORIGIN}{path}")

    (place,) = re.findall(r'href="([^"]*)"', answer.text)
    assert not place.startswith(("//", "/\\", "http"))


# --- requests of other pages


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Same-Origin", "x"])
@pytest.mark.parametrize("path", ["/", "/runs/r-1/payload?of=input", "/static/fluxio.js"])
def test_what_another_page_asks_for_is_not_shown_to_it(pages: Pages, site: str, path: str) -> None:
    """Another server of this machine is `same-site`, whatever its port is, and so gets the cookie sent."""
    assert pages.get(path, **{"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": ORIGIN},
        {"sec-fetch-site": "same-site", "origin": ORIGIN},
        {"sec-fetch-site": "none", "origin": ORIGIN},
        {"origin": "http://evil.example"},
        {"origin": f"http://evil.example:{PORT}"},
        {"origin": "null"},
        {"origin": f"http://localhost:{PORT}"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT}.evil.example"},
        {"referer": f"{ORIGIN}/"},
        {},
    ],
)
def test_a_form_of_another_page_changes_nothing(pages: Pages, headers: dict[str, str]) -> None:
    answer = pages.browser.post("/runs/r-1/cancel", data={"sure": "yes"}, headers=headers)

    assert answer.status_code == 403


def test_a_form_of_a_browser_that_says_only_its_origin_comes_through(pages: Pages) -> None:
    answer = pages.browser.post("/runs/r-1/nothing", data={"a": "b"}, headers={"origin": ORIGIN})

    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused_without_a_word_on_other_origins(
    pages: Pages, method: str
) -> None:
    answer = pages.browser.request(method, "/", headers=FROM_HERE)

    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("text/plain", b"a=b", 415),  # what another page may send without asking
        ("multipart/form-data; boundary=x", b"", 415),
        ("application/x-www-form-urlencoded", b"a=" + b"x" * 1_300_001, 413),
    ],
)
def test_only_forms_of_a_bounded_length_are_read(
    pages: Pages, kind: str, body: bytes, status: int
) -> None:
    answer = pages.browser.post(
        "/runs/r-1/cancel", content=body, headers={**FROM_HERE, "content-type": kind}
    )

    assert answer.status_code == status


def test_a_form_without_a_length_is_not_read(pages: Pages) -> None:
    answer = pages.browser.post(
        "/runs/r-1/cancel",
        content=iter([b"a=b"]),
        headers={**FROM_HERE, "content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 411


# --- what each answer says to the browser


@pytest.mark.parametrize("path", [*PATHS, "/enter", "/help", "/static/fluxio.css"])
@pytest.mark.parametrize("let_in", [True, False])
def test_every_answer_tells_the_browser_to_trust_and_to_keep_nothing(
    pages: Pages, path: str, let_in: bool
) -> None:
    headers = (pages.browser if let_in else pages.stranger()).get(path).headers

    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control")]


# --- payloads


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "</pre><iframe src=//evil.example></iframe>",
    "</title></style></textarea><script>1</script>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&#x3c;script&#x3e;",
    "]]><!--",
    "a\u202egnp.exe\u200b\x1b[31m\x00",
    "http://evil.example/?q=`id`",
    "' OR 1=1 --",
]


class Seen(HTMLParser):
    """The tags of a page, and whether any of them could act."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.acting: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.acting.append(f"{tag} {name}")
            if name in ("href", "src", "action", "formaction", "xlink:href"):
                self.sources.append(value or "")


def hostile_run(world: World, text: str) -> str:
    """A run of which everything is hostile that a customer, a step or another version may write."""
    graph = Graph(
        {
            text: Node(),
            "plain": Node((text,), (), text),
        }
    )
    store = Store(world.dynamodb, world.table_name)
    store.put_graph("Order", graph)
    world.client.start("Order", {text: text}, "r-1")
    failure = Failure(text, text, text, 1).to_json()
    world.dynamodb.update_item(
        TableName=world.table_name,
        Key={"pk": {"S": "r-1"}, "sk": {"S": "run"}},
        UpdateExpression="SET #v=:v, #e=:e, #s=:s, #x=:x",
        ExpressionAttributeNames={"#v": "version", "#e": "error", "#s": "status", "#x": "more"},
        ExpressionAttributeValues={
            ":v": {"S": graph.version},
            ":e": {"S": failure},
            ":s": {"S": text},
            ":x": {"S": text},
        },
    )
    world.sqs.send_message(
        QueueUrl=world.dlq_url,
        MessageBody=json.dumps({"run_id": text, "note": text}),
        MessageGroupId="a",
        MessageDeduplicationId="a",
    )
    return "r-1"


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_never_acts_on_a_page(world: World, pages: Pages, text: str) -> None:
    run_id = hostile_run(world, text)
    asked = quote(text, safe="")
    paths = [
        "/",
        "/runs?show=open",
        "/runs?workflow=Order",
        f"/runs?workflow={asked}&since={asked}&version={asked}&show={asked}&page={asked}",
        f"/runs/{run_id}",
        f"/runs/{run_id}?view=timeline",
        f"/runs/{run_id}?view=payloads",
        f"/runs/{run_id}?view=item",
        f"/runs/{run_id}/payload?of=input",
        f"/runs/{run_id}/payload?of={asked}",
        f"/runs/{run_id}?view={asked}",
        f"/runs/{run_id}?did={asked}",
        f"/runs/{run_id}/steps/{asked}",
        f"/open?run={asked}",
        "/dead-letters",
        "/workflows",
        f"/workflows?workflow={asked}",
        "/workflows/Order",
        f"/workflows/Order?version={asked}",
        f"/{asked}",
    ]
    for path in paths:
        answer = pages.get(path)
        assert answer.status_code < 500, path
        seen = Seen()
        seen.feed(answer.text)
        assert seen.acting == [], path
        assert not {"iframe", "img", "object", "embed", "base"} & {*seen.tags}, path
        assert seen.tags.count("script") == 1, path  # the page's own
        assert all(
            source.startswith(("/", "#", "https://us-east-1.console.aws.amazon.com/"))
            and not source.startswith("//")
            for source in seen.sources
        ), path
        for hidden in ("\u202e", "\u200b", "\x1b", "\x00"):
            assert hidden not in answer.text, path


def test_a_download_is_named_by_what_a_file_may_be_called(world: World, pages: Pages) -> None:
    hostile_run(world, '../"\r\nset-cookie: a=b')

    answer = pages.get("/runs/r-1/payload?of=input&download=1")

    assert answer.headers["content-disposition"] == 'attachment; filename="r-1-input.json.txt"'


# --- the server itself


def test_the_server_listens_on_loopback_only() -> None:
    sockets = server.listen(0)
    try:
        names = {one.getsockname()[0] for one in sockets}
        assert names <= {"127.0.0.1", "::1"}
        assert "127.0.0.1" in names
        assert len({one.getsockname()[1] for one in sockets}) == 1
    finally:
        for one in sockets:
            one.close()


def test_a_port_that_is_taken_is_said_to_be_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(server.CannotListen, match=f"port {port}"):
            server.listen(port)


def test_the_one_time_address_is_no_argument_of_the_browsers_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every user of the machine can read the arguments of all processes."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)

    with server._opened("http://127.0.0.1:1/enter?token=secret"):
        (address,) = opened
        file = Path(address.removeprefix("file://"))
        assert "secret" not in address
        assert "token=secret" in file.read_text()
        if os.name == "posix":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert not file.exists()


def test_the_server_lets_in_who_has_the_address_and_nobody_else(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real socket: what the tests above do not pass through."""
    servers: list[Any] = []
    make = uvicorn.Server

    def kept(config: Any) -> Any:
        servers.append(make(config))
        return servers[-1]

    monkeypatch.setattr(uvicorn, "Server", kept)
    said: list[str] = []
    came = threading.Event()

    def say(address: str) -> None:
        said.append(address)
        came.set()

    site = Pages(session).site
    thread = threading.Thread(target=server.serve, args=(site, 0, False, say))
    thread.start()
    try:
        assert came.wait(10)
        port = int(re.findall(r":(\d+)/", said[0])[0])

        def get(path: str, **headers: str) -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer

        entered = get("/enter?" + said[0].partition("?")[2])
        cookie = entered.headers["set-cookie"].partition(";")[0]
        assert get("/help", Cookie=cookie).status == 200
        assert get("/help").status == 401
        forged = {"X-Forwarded-Host": f"127.0.0.1:{port}", "X-Forwarded-For": "127.0.0.1"}
        assert get("/help", Host="evil.example", Cookie=cookie, **forged).status == 421
    finally:
        while not servers:
            time.sleep(0.01)
        servers[0].should_exit = True
        thread.join(10)
    assert not thread.is_alive()
