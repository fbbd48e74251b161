"""What a trial has found so far. It is kept in a folder after each step, so that an abort loses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from dev.stage import DevError

STATE = "trial.json"


class Verdict(str, Enum):
    """How a step ended."""

    PASS = "pass"
    FAIL = "fail"
    FIGURE = "figure"
    """Nothing was expected: it was measured."""
    SKIPPED = "skipped"
    NEEDS_AWS = "needs AWS"
    """It ran in an emulator, or did not, and an emulator's answer says nothing about AWS."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Outcome:
    """What a step has to say.

    Attributes:
        verdict: how it ended.
        seen: what was seen, in a sentence or two.
        figures: what was measured, by name, with the unit in the name.
    """

    verdict: Verdict
    seen: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def judged(good: bool, seen: str, **figures: Any) -> Outcome:
    """Pass or fail."""
    return Outcome(Verdict.PASS if good else Verdict.FAIL, seen, figures)


@dataclass(frozen=True)
class Result:
    """An outcome, when it was found, and how long that took."""

    verdict: Verdict
    seen: str
    figures: Mapping[str, Any]
    at: str
    seconds: float


@dataclass
class Record:
    """A trial from its first resource to its last.

    Attributes:
        folder: where it is kept, with Terraform's state.
        name: of the deployment.
        id: the value of the tag that everything carries.
        on: "AWS" or the emulator's name.
        account: the account's number.
        region: the Region.
        begun: when, in ISO 8601.
        applied: the settings that are applied now; None while nothing is.
        results: by the step's number.
        notes: what a step keeps from one call for a later one, by its number.
    """

    folder: Path
    name: str
    id: str
    on: str
    account: str
    region: str
    begun: str
    applied: dict[str, Any] | None = None
    results: dict[int, Result] = field(default_factory=dict)
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        whole = self.folder / f"{STATE}.new"
        whole.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")
        whole.replace(self.folder / STATE)

    @classmethod
    def load(cls, folder: Path) -> Record | None:
        """The trial in a folder, if there is one.

        Raises:
            DevError: the file cannot be read.
        """
        path = folder / STATE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["results"] = {
                int(number): Result(**{**result, "verdict": Verdict(result["verdict"])})
                for number, result in content["results"].items()
            }
            content["notes"] = {int(number): note for number, note in content["notes"].items()}
            return cls(folder=folder, **content)
        except (ValueError, TypeError, KeyError) as error:
            raise DevError(
                f"{path} is not what a trial writes ({type(error).__name__}: {error}). Terraform's "
                "state of what it made is beside it: keep the folder, and give another trial another --name."
            ) from None
