"""`fluxio doctor --package`: before a deploy it is known which open runs it would park or fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fluxio import step, workflow
from fluxio_client.cli.archive import read_folder, write_zip
from fluxio_client.cli.exits import ExitCode
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

pytestmark = pytest.mark.once

HEAD = "from fluxio import step, workflow\n@workflow\nclass Claim:\n"
REGISTER = """
    @step
    def register(self, claim_id: str) -> dict:
        return {"policy": "p-1"}
"""
DECIDE = """
    @step(depends_on=["register"], awaits=["approved"])
    def decide(self, policy: str) -> dict:
        return {}
"""
PAY = """
    @step(depends_on=["decide"])
    def pay(self, claim_id: str, **kwargs) -> dict:
        return {}
"""
BOOK = """
    @step(depends_on=["pay"])
    def book(self, claim_id: str, **kwargs) -> None: ...
"""
AS_IT_IS = HEAD + REGISTER + DECIDE + PAY + BOOK


@workflow(name="Claim")
class Deployed:
    """What is deployed, and what AS_IT_IS says again."""

    @step
    def register(self, claim_id: str) -> dict:
        return {"policy": "p-1"}

    @step(depends_on=["register"], awaits=["approved"])
    def decide(self, policy: str) -> dict:
        return {}

    @step(depends_on=["decide"])
    def pay(self, claim_id: str, **kwargs) -> dict:
        return {}

    @step(depends_on=["pay"])
    def book(self, claim_id: str, **kwargs) -> None: ...


Packaged = Callable[..., list[dict[str, str]]]


@pytest.fixture
def packaged(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Packaged:
    """What doctor finds about a package of this code, while two runs wait for their signal."""
    fluxio: Command = make_command(world, capfd, monkeypatch)
    for run_id in ("claim-1", "claim-2"):
        world.client.start("Claim", {"claim_id": run_id}, run_id=run_id)
    world.pump(Deployed).drain()

    def packaged(code: str, manifest: str = "Claim = claims:Claim") -> list[dict[str, str]]:
        folder = tmp_path / "claims"
        folder.mkdir(exist_ok=True)
        (folder / "claims.py").write_text(code)
        (folder / "entry_points.txt").write_text(f"[fluxio.workflows]\n{manifest}\n")
        write_zip(tmp_path / "claims.zip", read_folder(folder))
        said = fluxio("doctor", "--json", "--package", str(tmp_path / "claims.zip"))
        found = [one for one in json.loads(said.out)["findings"] if one["area"] == "package"]
        assert (said.code == ExitCode.FINDINGS) >= any(one["level"] == "FAIL" for one in found)
        return found

    return packaged


@pytest.mark.parametrize(
    "code",
    [
        AS_IT_IS,
        # A retired step is kept for them, a settled one is not needed any more, and a new one is not theirs.
        HEAD + REGISTER + DECIDE + PAY.replace("decide", "register").replace(
            "step(", "step(retired=True, "
        ) + BOOK.replace("pay", "decide"),
        HEAD + DECIDE.replace('depends_on=["register"], ', "") + PAY + BOOK,
        AS_IT_IS + BOOK.replace("book", "archive"),
    ],
    ids=["the same code", "a retired step", "a settled step removed", "a step added"],
)  # fmt: skip
def test_a_deploy_that_parks_nothing_is_ok(packaged: Packaged, code: str) -> None:
    (found,) = packaged(code)

    assert found["level"] == "OK"
    assert "what the 2 open runs need" in found["text"]


def test_a_step_that_open_runs_still_need_is_named_with_them(packaged: Packaged) -> None:
    (found,) = packaged(HEAD + REGISTER + DECIDE + PAY.replace("def pay", "def pay_out"))[:1]

    assert found["level"] == "FAIL"
    assert found["text"].startswith("it has no step ")
    assert "2 open runs of Claim, version " in found["text"]
    assert "claim-1" in found["text"]
    assert "claim-2" in found["text"]
    assert "retired=True" in (found["remedy"] or "")


def test_every_missing_step_is_named(packaged: Packaged) -> None:
    found = packaged(HEAD + REGISTER + DECIDE)

    assert [one["text"].split()[4] for one in found] == ["pay;", "book;"]


@pytest.mark.parametrize(
    ("code", "lacks"),
    [
        (AS_IT_IS.replace("policy: str", "policy: str, amount: int"), "'amount' of decide"),
        (AS_IT_IS.replace("self, policy: str", "self, policies: str"), "'policies' of decide"),
    ],
    ids=["a parameter added", "a parameter renamed"],
)
def test_a_parameter_that_their_graph_does_not_supply_is_named(
    packaged: Packaged, code: str, lacks: str
) -> None:
    (found,) = packaged(code)

    assert found["level"] == "FAIL"
    assert lacks in found["text"]


def test_what_cannot_be_told_is_not_called_missing(packaged: Packaged) -> None:
    """Of a step that has not run, and whose type does not say, any name may come."""
    (found,) = packaged(
        AS_IT_IS.replace("def pay(self, claim_id: str", "def pay(self, receipt: str")
    )

    assert found["level"] == "OK"


def test_a_package_without_the_workflow_or_that_does_not_load_is_a_failure(
    packaged: Packaged,
) -> None:
    other = AS_IT_IS.replace("Claim", "Other")
    (found,) = packaged(other, "Other = claims:Other")
    assert "it has no workflow Claim" in found["text"]

    (found,) = packaged("1/0")
    assert (found["level"], "ZeroDivisionError" in found["text"]) == ("FAIL", True)


def test_what_is_no_zip_is_a_usage_error(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fluxio = make_command(world, capfd, monkeypatch)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    for name in ("x.zip", "gone.zip"):
        assert fluxio("doctor", "--package", str(tmp_path / name)).code == ExitCode.USAGE
