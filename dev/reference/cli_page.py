"""docs/reference/cli.md: every command of `fluxio`, as its own parser has it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import typer

from dev.reference.markdown import code, fenced, page, paragraphs, prose, table
from fluxio_client.cli.app import app
from fluxio_client.cli.exits import ExitCode

_EXAMPLE = re.compile(r"^Example: (.+)$", re.MULTILINE)

#: How a value is called where neither the option nor the type has a better word.
_WORDS = {
    "str": "TEXT",
    "int": "INTEGER",
    "int range": "INTEGER",
    "float": "NUMBER",
    "float range": "NUMBER",
    "path": "PATH",
}


def render() -> str:
    """The page."""
    group: Any = typer.main.get_command(app)
    commands = dict(_commands(group, "fluxio"))
    shared = _shared(list(commands.values()))
    panels: dict[str, list[str]] = {}
    for name, command in commands.items():
        panels.setdefault(command.rich_help_panel or _panel_above(group, name), []).append(name)
    blocks = []
    for panel, names in panels.items():
        blocks.append(f"## {panel}")
        for name in names:
            blocks += _command(name, commands[name], shared)
    return page(
        "The command `fluxio`, command by command",
        "client/src/fluxio_client/cli",
        "The same as `--help` says. How the commands go together, what they print, and what they need to be "
        "allowed is in [cli.md](../cli.md).",
        *blocks,
        "## Options of every command",
        _table([one for _, one in shared.values()], "option"),
        "Those of the deployment are not there where a command needs none: "
        + ", ".join(code(name) for name in commands if not _takes_deployment(commands[name]))
        + ".",
        "`fluxio` alone takes",
        _table([one for one in group.params if not one.hidden], "option"),
        "## Exit codes",
        table(("code", "meaning"), [(str(int(one)), prose(one.meaning)) for one in ExitCode]),
    )


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _panel_above(group: Any, name: str) -> str:
    """The panel of the group that a command is in: it has none of its own."""
    return str(group.commands[name.split()[1]].rich_help_panel)


def _key(parameter: Any) -> tuple[str, ...]:
    return (*parameter.opts, parameter.help or "")


def _shared(commands: list[Any]) -> dict[tuple[str, ...], tuple[int, Any]]:
    """The options that most commands have: they are told of once."""
    counted = Counter(_key(one) for command in commands for one in command.params)
    return {
        _key(one): (counted[_key(one)], one)
        for command in commands
        for one in command.params
        if counted[_key(one)] > len(commands) / 2
    }


def _takes_deployment(command: Any) -> bool:
    return any(one.rich_help_panel == "Deployment" for one in command.params)


def _command(name: str, command: Any, shared: dict[tuple[str, ...], Any]) -> Iterator[str]:
    own = [one for one in command.params if _key(one) not in shared]
    arguments = [one for one in own if one.param_type_name == "argument"]
    options = [one for one in own if one.param_type_name == "option"]
    usage = [name, *(_metavar(one) for one in arguments), *(_asked(one) for one in options)]
    text = str(command.help or "")
    yield f"### {name}"
    yield fenced("text", " ".join(part for part in usage if part))
    yield paragraphs(_EXAMPLE.sub("", text).strip())
    yield _table(arguments, "argument")
    yield _table(options, "option")
    if examples := _EXAMPLE.findall(text):
        yield fenced("console", "\n".join(f"$ {line}" for line in examples))


def _asked(option: Any) -> str:
    """An option that must be given, in the line of usage; the others are in the table."""
    return f"{option.opts[0]} {_metavar(option)}" if option.required else ""


def _table(parameters: list[Any], kind: str) -> str:
    return table(
        (kind, "default", "meaning"),
        [(_name(one), _default(one), _meaning(one)) for one in parameters],
    )


def _name(one: Any) -> str:
    if one.param_type_name == "argument":
        return code(_metavar(one))
    named = ", ".join(code(name) for name in one.opts)
    return named if one.is_flag else f"{named} {_metavar(one)}"


def _metavar(one: Any) -> str:
    if one.metavar:
        return str(one.metavar)
    if one.param_type_name == "argument":
        return str(one.name).upper()
    if one.type.name == "choice":
        return str(one.opts[0]).lstrip("-").upper()
    return _WORDS[one.type.name]


def _default(one: Any) -> str:
    if one.required:
        return "*required*"
    return "" if one.default in (None, False) else code(one.default)


def _meaning(one: Any) -> str:
    text = prose(one.help or "")
    if one.type.name == "choice":
        text += f" One of {', '.join(code(choice) for choice in one.type.choices)}."
    low, high = getattr(one.type, "min", None), getattr(one.type, "max", None)
    if low is not None:
        text += f" {low} to {high}." if high is not None else f" At least {low}."
    return text + (f" [{one.envvar}]" if one.envvar else "")
