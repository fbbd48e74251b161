"""docs/operations.md against the alarms that send people to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.runbook import PAGE, sections

ROOT = Path(__file__).resolve().parents[2]
ALARMS = (ROOT / "modules" / "fluxio" / "alarms.tf").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
_MAP = re.search(r"^  alarms = \{\n(.*?)^  \}\n", ALARMS, re.MULTILINE | re.DOTALL)
assert _MAP
NAMES = re.findall(r"^    (\w+) = \{$", _MAP[1], re.MULTILINE)

#: IAM's names of calls, where they are not those of the AWS CLI.
IAM = {"lambda:Invoke": "lambda:InvokeFunction"}

#: What Lambda says of a worker that died, in both of its formats, as AWS documents it.
DEATHS = [
    '{"type":"platform.report","record":{"metrics":{"durationMs":120000.0},"status":"timeout"}}',
    '{"type":"platform.report","record":{"status":"error","errorType":"Runtime.OutOfMemory"}}',
    '{"type":"platform.report","record":{"status":"error","errorType":"Runtime.ExitError"}}',
    "2026-11-22T02:20:10.518Z 6f7a Task timed out after 120.00 seconds",
    "RequestId: 6f7a Error: Runtime exited with error: signal: killed\nRuntime.ExitError",
]

#: What it says of one that is well.
WELL = [
    '{"type":"platform.initStart","record":{"runtimeVersion":"python:3.12.v38","phase":"init"}}',
    '{"type":"platform.initRuntimeDone","record":{"phase":"init","status":"success"}}',
    '{"type":"platform.report","record":{"metrics":{"durationMs":120.0},"status":"success"}}',
    "REPORT RequestId: 6f7a Duration: 2.1 ms Memory Size: 512 MB Max Memory Used: 97 MB",
]

#: Which service a script's client is of, by the name it has there.
CLIENTS = {"lambda_": "lambda", "scheduler": "scheduler"}


def _patterns() -> list[str]:
    """The filter patterns of the page's commands, as CloudWatch gets them."""
    found = re.findall(r"--filter-pattern (?:'([^']+)'|\"((?:[^\"\\]|\\.)+)\")", PAGE)
    assert len(found) == PAGE.count("--filter-pattern")
    return [single or double.replace('\\"', '"') for single, double in found]


def test_the_module_has_the_alarms_that_this_test_reads() -> None:
    assert len(NAMES) == 10
    assert 'More: ${local.runbook_of[each.key]}."' in ALARMS
    assert "${local.runbook}#${name}" in ALARMS


@pytest.mark.parametrize("name", NAMES)
def test_an_alarm_sends_its_reader_to_a_section_that_says_how_to_look_and_how_to_mend(
    name: str,
) -> None:
    section = sections()[name]

    assert "**Look.**" in section.text
    assert "**Mend.**" in section.text
    assert "Decide" in section.text
    assert any(command.runs for command in section.look), "nothing to look with"


def test_the_composite_alarm_has_the_first_section_after_the_settings() -> None:
    titles = [section.title for section in sections().values()]

    assert titles[1] == "The composite alarm: where to begin within a minute"
    assert titles[2:12] == NAMES, "the alarms stand in the order in which the module has them"


def test_every_link_of_the_page_leads_somewhere() -> None:
    anchors = {*sections()}
    for file, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", PAGE):
        if not file:
            assert anchor in anchors
            continue
        there = (ROOT / "docs" / file).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.+)$", there, re.MULTILINE)
        assert anchor in {title.lower().replace(" ", "-") for title in titles}, (file, anchor)
    for file in re.findall(r"\]\(([\w.-]+)\)", PAGE):
        assert (ROOT / "docs" / file).is_file()


def test_every_message_that_the_page_looks_for_is_one_that_the_worker_logs() -> None:
    phrases = [one for one in _patterns() if not one.startswith("?")]
    wanted = {phrase for one in phrases for phrase in re.findall(r'"([^"]+)"', one)} - {"$RUN"}

    assert all(one.startswith('"') for one in phrases), (
        "what else is there is asked of Lambda, below"
    )
    assert wanted == {"run stuck", "message refused", "step raised", "step taken over"}
    for message in wanted:
        assert f"`{message}" in METRICS


@pytest.mark.parametrize("pattern", [one for one in _patterns() if one.startswith("?")])
def test_a_search_for_dead_workers_finds_whatever_lambda_says_of_one_and_nothing_else(
    pattern: str,
) -> None:
    terms = [phrase or word for phrase, word in re.findall(r'\?(?:"([^"]+)"|(\S+))', pattern)]

    def finds(line: str) -> bool:
        return any(term in line for term in terms)

    assert [line for line in DEATHS if not finds(line)] == []
    assert [line for line in WELL if finds(line)] == []


def test_the_rights_that_the_page_lists_are_those_that_its_commands_need() -> None:
    rights = sections()["what-you-must-be-allowed-to-do"].text
    listed = {*re.findall(r"`(\w+:\w+)`", rights)} - {"iam:PassRole"}

    needed = set()
    for service, call in re.findall(r"\baws (\w+) ([\w-]+)", "\n".join(_pasted())):
        if (service, call) == ("sts", "get-caller-identity"):
            continue  # nobody needs a right for it
        # `wait` asks again and again for what it waits for.
        name = "get-function-configuration" if call == "wait" else call
        action = f"{service}:{''.join(word.title() for word in name.split('-'))}"
        needed.add(IAM.get(action, action))
    for client, call in re.findall(r"\b(\w+)\.((?:get|update)_\w+)\(", "\n".join(_pasted())):
        action = "".join(word.title() for word in call.split("_"))
        needed.add(f"{CLIENTS[client]}:{action}")

    assert needed == listed


def _pasted() -> list[str]:
    return [
        command.text
        for section in sections().values()
        for command in [*section.look, *section.mend]
    ]
