"""What a person does with the pages of `fluxio ui`, in a real browser."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio_client import RunStatus
from tests.browser.conftest import Opened, Served, picture
from tests.moto.pump import Clock, World

BROKEN: set[str] = set()

PAGES = {
    "overview": "/",
    "runs": "/runs?workflow=OrderFulfillment",
    "failed": "/runs?workflow=OrderFulfillment&show=failed",
    "run": "/runs/order-o-1001",
    "run-failed": "/runs/order-o-1002",
    "timeline": "/runs/order-o-1001?view=timeline",
    "payloads": "/runs/order-o-1001?view=payloads",
    "item": "/runs/order-o-1001?view=item",
    "payload": "/runs/order-o-1001/payload?of=input",
    "step": "/runs/order-o-1002/steps/charge_card",
    "signal": "/runs/order-o-1001/signal?name=approved",
    "cancel": "/runs/order-o-1001/cancel",
    "redrive": "/redrive?workflow=OrderFulfillment&stopped=failed",
    "dead-letters": "/dead-letters",
    "workflows": "/workflows",
    "workflow": "/workflows/OrderFulfillment",
    "start": "/workflows/OrderFulfillment/start",
    "help": "/help",
}

DARK: dict[str, Any] = {"color_scheme": "dark"}
NARROW: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}

CLOCKS: list[Clock] = []


def take(seconds: float) -> None:
    """Let a step take its time, on the world's clock."""
    CLOCKS[0].advance(seconds)


@workflow
class OrderFulfillment:
    @step
    def validate_payment(self, order_id: str, amount: float) -> dict:
        take(0.31)
        return {"order_id": order_id, "token": "tok_abc"}

    @step(depends_on=["validate_payment"])
    def charge_card(self, order_id: str) -> dict:
        take(1.4)
        if order_id in BROKEN:
            raise RuntimeError("CardNetworkBusy: 503 from the card network, no answer in 10 s")
        return {"charge_id": "ch_abc"}

    @step(depends_on=["validate_payment"], retry=3)
    def reserve_inventory(self, order_id: str) -> dict:
        take(0.7)
        return {"reservation_id": "res_abc"}

    @step(depends_on=["charge_card"], awaits=["approved"])
    def check_fraud(self, approved: dict) -> dict:
        return approved

    @step(depends_on=["check_fraud", "reserve_inventory"])
    def fulfill_order(self) -> dict:
        take(0.2)
        return {"fulfillment_id": "ful_abc", "status": "fulfilled"}


@pytest.fixture(autouse=True)
def runs(world: World) -> None:
    """A run that waits for a signal, one that failed, one that succeeded, and dead letters."""
    BROKEN.clear()
    BROKEN.add("o-1002")
    CLOCKS[:] = [world.clock]
    pump = world.pump(OrderFulfillment, inline_branches=0)

    def start(number: int) -> str:
        run_id = f"order-o-{number}"
        order = {"order_id": f"o-{number}", "amount": 99.0}
        world.client.start("OrderFulfillment", order, run_id)
        while records := pump.receive():
            world.clock.advance(0.12)
            pump.invoke(records)
        return run_id

    start(1001)
    start(1002)
    run_id = start(1003)
    world.client.signal(run_id, "approved", {"by": "kim"})
    pump.drain()
    for group, body in (("a", '{"run_id": "order-o-1002"}'), ("b", "not of fluxio")):
        world.sqs.send_message(
            QueueUrl=world.dlq_url,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=group,
        )


def work(world: World) -> None:
    world.pump(OrderFulfillment).drain()


def look_again(page: Any) -> None:
    """Let the 2 s pass after which an open run is looked at again; on a slow machine they may have passed."""
    page.locator(".live-sign").wait_for()  # its script has begun
    page.clock.run_for(2_000)


def test_a_failed_run_is_found_understood_mended_and_watched_to_its_end(
    world: World, opened: Opened
) -> None:
    page = opened()
    page.get_by_role("link", name="1 failed").click()
    page.get_by_role("link", name="order-o-1002").click()

    assert page.locator(".note.bad", has_text="CardNetworkBusy: 503").is_visible()
    assert page.locator(".graph .state-failed", has_text="charge_card").count() == 1

    BROKEN.clear()
    page.get_by_role("button", name="Redrive").click()
    page.get_by_text("The run was sent on").wait_for()
    assert page.locator("#live").get_by_text("RUNNING").first.is_visible()

    work(world)
    look_again(page)
    page.locator(".graph .state-waiting", has_text="check_fraud").wait_for()
    world.client.signal("order-o-1002", "approved", {})
    work(world)
    look_again(page)

    page.locator("#live:not([data-live]) > .facts", has_text="SUCCEEDED").wait_for()
    page.get_by_role("link", name="Cancel…").wait_for(state="detached")  # its deeds are others now


def test_a_run_is_started_by_its_fields_and_signalled(world: World, opened: Opened) -> None:
    page = opened("/workflows/OrderFulfillment")
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("order_id").fill("o-2001")
    page.get_by_label("amount").fill("12.50")
    page.locator("#id1").fill("order-o-2001")
    page.get_by_role("button", name="Start").first.click()
    page.get_by_text("The run was started.").wait_for()
    work(world)
    page.reload()

    page.get_by_role("link", name="Signal approved…").click()
    page.get_by_label("Payload (JSON)").fill('{"by": "lee"}')
    page.get_by_role("button", name="Send").click()
    page.get_by_text("The run has its signal.").wait_for()
    work(world)

    run = world.client.get("order-o-2001")
    assert run.status is RunStatus.SUCCEEDED
    assert run.input == {"order_id": "o-2001", "amount": 12.5}
    assert run.steps["check_fraud"].output == {"by": "lee"}


def test_all_of_it_goes_by_keys_alone(world: World, opened: Opened) -> None:
    page = opened()
    press = page.keyboard.press

    press("r")
    page.wait_for_url("**/runs")
    press("/")
    page.keyboard.type("OrderFulfillment")
    press("Enter")
    page.wait_for_url("**/runs?workflow=OrderFulfillment**")
    press("j")
    press("j")
    assert page.evaluate("document.activeElement.textContent") == "order-o-1002"
    press("k")
    press("j")
    press("Enter")
    page.wait_for_url("**/runs/order-o-1002")

    for _ in range(40):
        if page.evaluate("document.activeElement.textContent") == "Redrive":
            break
        press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    BROKEN.clear()
    press("Enter")
    page.get_by_text("The run was sent on").wait_for()
    assert world.client.get("order-o-1002").status is RunStatus.RUNNING

    page.wait_for_load_state()
    press("?")
    page.wait_for_url("**/help")


def test_without_scripts_everything_is_shown_and_forms_work(world: World, opened: Opened) -> None:
    page = opened("/runs/order-o-1001", java_script_enabled=False)
    assert page.locator(".graph .state-waiting", has_text="check_fraud").is_visible()

    page.get_by_role("link", name="Signal approved…").click()
    page.get_by_label("Payload (JSON)").fill('{"by": "kim"}')
    page.get_by_role("button", name="Send").click()
    page.get_by_text("The run has its signal.").wait_for()

    work(world)
    assert world.client.get("order-o-1001").status is RunStatus.SUCCEEDED


def test_a_view_is_in_the_address_so_that_back_and_reload_keep_it(opened: Opened) -> None:
    page = opened("/runs?workflow=OrderFulfillment&show=failed")
    page.get_by_role("link", name="order-o-1002").click()
    page.get_by_role("link", name="timeline").click()
    page.reload()
    assert page.locator("svg.bar").count() > 0

    page.go_back()
    page.go_back()

    assert page.get_by_label("Workflow", exact=True).input_value() == "OrderFulfillment"
    assert page.get_by_label("Show").input_value() == "failed"


def test_a_tab_out_of_sight_asks_for_nothing(opened: Opened) -> None:
    page = opened("/runs/order-o-1001")
    asked: list[str] = []
    page.on("request", lambda one: None if "/static/" in one.url else asked.append(one.url))
    hide = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});"

    page.evaluate(hide.format("true"))
    page.clock.run_for(60_000)
    assert asked == []

    page.evaluate(hide.format("false"))
    with page.expect_response(lambda answer: "live=1" in answer.url):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert len(asked) == 1


def test_a_look_keeps_focus_and_changes_only_what_differs(world: World, opened: Opened) -> None:
    page = opened("/runs/order-o-1001")
    page.locator("#live tbody a", has_text="validate_payment").focus()
    page.evaluate("document.querySelector('#live tbody tr').mine = true")
    world.clock.advance(90)

    look_again(page)
    page.locator("#live > .facts", has_text="1 min").wait_for()

    assert page.evaluate("document.activeElement.textContent") == "validate_payment"
    assert page.evaluate("document.querySelector('#live tbody tr').mine")


def test_a_command_is_copied(opened: Opened) -> None:
    page = opened("/runs/order-o-1001")

    page.get_by_role("button", name="Copy fluxio show order-o-1001").click()
    page.get_by_text("copied").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == "fluxio show order-o-1001"


@pytest.mark.parametrize(
    ("form", "options"), [("light", {}), ("dark", DARK), ("narrow", {**DARK, **NARROW})]
)
def test_every_page_is_accessible_and_fits(
    opened: Opened, form: str, options: dict[str, Any]
) -> None:
    """Nothing that axe-core knows to look for, and nothing wider than the window; a picture of each is left."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened("/", **options)
    origin = page.url.rstrip("/")
    width = page.viewport_size["width"]
    for name, path in PAGES.items():
        page.goto(origin + path)
        found = axe.run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.locator("main h1").count() == 1
        picture(page, f"{name}-{form}")


def test_a_page_reads_well_in_print(opened: Opened) -> None:
    page = opened("/runs/order-o-1002")

    page.emulate_media(media="print")

    assert not page.get_by_role("button", name="Redrive").is_visible()
    assert page.locator(".note.bad", has_text="CardNetworkBusy").is_visible()
    picture(page, "run-print")


# --- other pages in the same browser


@pytest.fixture
def elsewhere(served: Served) -> Iterator[str]:
    """Another server of this machine, whose page tries to read and to change."""
    page = f"""<!doctype html><title>elsewhere</title>
<form id="form" method="post" action="{served.origin}/runs/order-o-1001/cancel">
<input name="typed" value="order-o-1001"></form>
<iframe src="{served.origin}/"></iframe>
<a href="{served.origin}/runs/order-o-1001">link</a>""".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{other.server_port}/"
    other.shutdown()
    thread.join()
    other.server_close()


def test_a_page_of_another_server_can_neither_read_nor_change(
    world: World, browser: Any, served: Served, elsewhere: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.access.address)
    page.get_by_role("heading", name="Overview").wait_for()

    page.goto(elsewhere)
    read = page.evaluate(
        "url => fetch(url, {credentials: 'include'}).then(a => a.text()).catch(e => 'refused')",
        f"{served.origin}/runs/order-o-1001",
    )
    assert read == "refused"
    assert "fluxio" not in (page.frames[1].title() or "")
    page.evaluate("document.querySelector('#form').submit()")
    page.get_by_text("does not come from a page of fluxio ui").wait_for()
    assert world.client.get("order-o-1001").status is RunStatus.RUNNING

    page.goto(elsewhere)
    page.get_by_role("link", name="link").click()
    page.get_by_role("link", name="go on from here").click()
    page.get_by_role("heading", name="order-o-1001").wait_for()
    context.close()


def test_the_address_lets_one_browser_in_and_not_the_next(browser: Any, served: Served) -> None:
    address = served.access.address
    first, second = browser.new_context(), browser.new_context()
    page = first.new_page()
    page.goto(address)
    page.get_by_role("heading", name="Overview").wait_for()

    other = second.new_page()
    other.goto(address)

    assert other.get_by_text("was used already").is_visible()
    other.goto(served.origin)
    assert other.get_by_role("heading", name="Overview").count() == 0
    first.close()
    second.close()
