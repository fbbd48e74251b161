"""docs/reference/module.md: inputs and outputs of the Terraform module and of those inside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hcl2
from hcl2.utils import SerializationOptions

from dev import ROOT
from dev.reference.markdown import broken, code, fenced, page, prose, table
from dev.stage import DevError

MODULE = ROOT / "modules" / "fluxio"

#: A comment that stands over a group of variables.
_GROUP = re.compile(r'^# -{2,} (?P<title>.+?) -+$|^variable "(?P<name>\w+)"', re.MULTILINE)

#: In a module's README: before and after a table that is written here.
_PLACE = ("<!-- {what}: written by `make docs` -->", "<!-- end of {what} -->")

_AS_TEXT = SerializationOptions(
    explicit_blocks=False, strip_string_quotes=True, with_comments=False
)

#: Longer types stand in a block of their own.
_SHORT = 60


class Input(NamedTuple):
    """A variable. `default` is HCL; None: it must be given."""

    name: str
    type: str
    default: str | None
    description: str
    refusals: tuple[str, ...]
    group: str | None


class Output(NamedTuple):
    """An output."""

    name: str
    description: str
    sensitive: bool


def render() -> str:
    """The page."""
    blocks = []
    for folder in modules():
        place = folder.relative_to(ROOT).as_posix()
        blocks += [f"## {place}", *_inputs(folder), *_outputs(folder)]
    return page(
        "The Terraform module: inputs and outputs",
        "modules/fluxio",
        "What each input takes, with the words in which Terraform refuses anything else. What the module "
        "makes, and how to begin with it, is in [its README](../../modules/fluxio/README.md).",
        *blocks,
    )


def modules() -> list[Path]:
    """The module's folder, then those of the modules inside it that take or give something."""
    inside = {path.parent for path in (MODULE / "modules").glob("*/*.tf")}
    return [MODULE, *sorted(folder for folder in inside if inputs(folder) or outputs(folder))]


def readmes() -> dict[Path, str]:
    """The READMEs of the modules with their tables as they should be; one without a place for them stays."""
    found = {}
    for folder in modules():
        if (path := folder / "README.md").is_file():
            text = path.read_text(encoding="utf-8")
            text = _placed(text, "inputs", input_table(folder))
            found[path] = _placed(text, "outputs", output_table(folder))
    return found


def _placed(text: str, what: str, made: str) -> str:
    begin, end = (mark.format(what=what) for mark in _PLACE)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if not rest:
        return text
    if not after:
        raise DevError(f"a README has {begin!r} and then no {end!r}: put that after the table.")
    return f"{before}{begin}\n\n{made}\n\n{end}{after}"


def input_table(folder: Path) -> str:
    """The inputs as a README has them."""
    return table(
        ("name", "default", "what it is"),
        [(code(one.name), _default(one), prose(one.description)) for one in inputs(folder)],
    )


def output_table(folder: Path) -> str:
    """The outputs as a README has them."""
    return table(
        ("name", "what it is"),
        [(code(one.name), prose(one.description)) for one in outputs(folder)],
    )


@cache
def inputs(folder: Path) -> tuple[Input, ...]:
    """The variables of a module, in the order of its files."""
    found: list[Input] = []
    for text in _sources(folder):
        groups = dict(_groups(text))
        found += [
            Input(
                name,
                _expression(body.get("type", "any")),
                _hcl(body["default"]) if "default" in body else None,
                _plain(body.get("description", "")),
                tuple(_plain(check["error_message"]) for check in body.get("validation", ())),
                groups.get(name),
            )
            for name, body in _blocks(text, "variable")
        ]
    return tuple(found)


@cache
def outputs(folder: Path) -> tuple[Output, ...]:
    """The outputs of a module, in the order of its files."""
    return tuple(
        Output(name, _plain(body.get("description", "")), bool(body.get("sensitive")))
        for text in _sources(folder)
        for name, body in _blocks(text, "output")
    )


def _inputs(folder: Path) -> Iterator[str]:
    group = None
    for one in inputs(folder):
        if one.group != group:
            group = one.group
            yield f"### {group}"
        short = len(one.type) <= _SHORT
        yield f"#### {one.name}"
        yield ", ".join(
            [
                code(one.type if short else one.type.partition("(")[0]),
                "required" if one.default is None else f"default {code(one.default)}",
            ]
        )
        yield prose(one.description)
        if not short:
            yield fenced("hcl", broken(one.type))
        if one.refusals:
            yield "\n".join(f"- {prose(refusal)}" for refusal in one.refusals)


def _outputs(folder: Path) -> Iterator[str]:
    if given := outputs(folder):
        yield "### Outputs"
        yield table(
            ("output", "what it is"),
            [
                (code(one.name), prose(one.description) + (" Sensitive." if one.sensitive else ""))
                for one in given
            ],
        )


def _default(one: Input) -> str:
    if one.default is None:
        return "*required*"
    return "" if one.default == "null" else code(one.default)


def _sources(folder: Path) -> Iterator[str]:
    """The files that declare something; the rest need not be parsed."""
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        if re.search(r'^(variable|output) "', text, re.MULTILINE):
            yield text


@cache
def _parsed(text: str) -> dict[str, Any]:
    return hcl2.loads(text, serialization_options=_AS_TEXT)


def _blocks(text: str, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for block in _parsed(text).get(kind, ()):
        yield from block.items()


def _groups(text: str) -> Iterator[tuple[str, str]]:
    group = None
    for found in _GROUP.finditer(text):
        if found["title"]:
            group = found["title"]
        elif group:
            yield found["name"], group


def _expression(text: str) -> str:
    """An expression without the `${…}` that the parser puts around it."""
    return text[2:-1] if text.startswith("${") and text.endswith("}") else text


def _plain(text: str) -> str:
    """A string as Terraform reads it: quotes and `${` are escaped in its source."""
    return text.replace('\\"', '"').replace("$${", "${")


def _hcl(value: Any) -> str:
    """A default as it is written in Terraform."""
    if isinstance(value, str):
        return _expression(value) if value.startswith("${") else f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_hcl, value))}]"
    if isinstance(value, dict):
        entries = ", ".join(f"{name} = {_hcl(one)}" for name, one in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    return json.dumps(value)
