"""docs/reference/python.md: what the packages `fluxio` and `fluxio_client` export."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

import griffe

from dev.reference.comments import above, packages
from dev.reference.markdown import broken, code, fenced, page, paragraphs, prose, table
from dev.stage import DevError

Documented = griffe.Class | griffe.Function


def render() -> str:
    """The page."""
    return page(
        "The Python packages",
        "layer/src/fluxio and client/src/fluxio_client",
        "`fluxio` is for code with steps in it, `fluxio_client` for any service that starts runs and looks at "
        "them. Types are as the code has them; both packages are typed (`py.typed`). What a step may rely on "
        "is in the [README](../../README.md#what-a-step-may-rely-on), what becomes of a run in "
        "[states.md](states.md).",
        *_package("fluxio"),
        *_package("fluxio.testing"),
        *_package("fluxio_client"),
        "## Settings",
        "Environment variables that stand in for arguments that are not given.",
        table(
            ("variable", "what it is"),
            [
                (code(str(one.value).strip("'\"")), prose(_meaning(one)))
                for one in _module("fluxio_protocol.settings").attributes.values()
                if one.has_labels("module-attribute")
            ],
        ),
    )


def _package(name: str) -> Iterator[str]:
    found = [_target(f"{name}.{exported}") for exported in _module(name).exports or ()]
    errors = [one for one in found if isinstance(one, griffe.Class) and one.module.name == "errors"]
    errors_from = name
    if not errors:  # the engine keeps its errors in their module: few callers name one
        errors_from = f"{name}.errors"
        errors = [one for one in _module(errors_from).classes.values() if not one.is_alias]
    yield f"## {name}"
    yield paragraphs(_text(_module(name)).partition("\n\n")[0])
    if name == "fluxio_client":
        yield paragraphs(_text(_module("fluxio_protocol.run")).partition("\n\n")[2])
    for one in sorted((one for one in found if one not in errors), key=_order):
        yield f"### {one.name}"
        if isinstance(one, griffe.Function):
            yield from _function(one)
        elif isinstance(one, griffe.Class):
            yield from _class(one)
        elif isinstance(one, griffe.Attribute):
            yield prose(_meaning(one))
    yield f"### Errors of {name}"
    yield (
        "What each one means. The message of an error says where it was, and what to do next. "
        f"Import them from `{errors_from}`."
    )
    yield table(
        ("error", "is a", "what it means"),
        [
            (code(one.name), ", ".join(code(base) for base in one.bases), prose(_text(one)))
            for one in sorted(errors, key=lambda one: one.lineno or 0)
        ],
    )


def _order(one: griffe.Object) -> tuple[int, int]:
    """Functions, what is called, what is only read, statuses; each as its module has them."""
    kind = 0
    if isinstance(one, griffe.Class):
        is_called = _parts(one, "parameters") or _parts(one, "attributes")
        kind = 3 if _is_enum(one) else 1 if is_called else 2
    return kind, one.lineno or 0


def _function(one: griffe.Function) -> Iterator[str]:
    shapes = one.overloads or [one]
    yield fenced("python", "\n".join(_signature(shape) for shape in shapes))
    yield from _described(one)


def _class(one: griffe.Class) -> Iterator[str]:
    if _is_enum(one):
        yield from _described(one)
        members = [at for at in one.attributes.values() if not at.name.startswith("_")]
        yield table(("member", "meaning"), [(code(at.name), prose(_meaning(at))) for at in members])
        return
    if _parts(one, "parameters"):
        yield fenced("python", broken(f"{one.name}({_parameters(one.parameters)})"))
    yield from _described(one)
    told = {part.name: part.description for part in _parts(one, "attributes")}
    listed = bool(told or _parts(one, "parameters"))
    yield table(
        ("attribute", "type", "meaning"),
        [
            (code(at.name), code(_type(at)), prose(told.get(at.name) or _meaning(at)))
            for at in one.attributes.values()
            # Of a class whose docstring lists what it has, a field that is not in the list is its own affair.
            if not at.name.startswith("_")
            and (not listed or at.name in told or at.has_labels("property"))
        ],
    )
    for method in one.functions.values():
        if not method.name.startswith("_"):
            yield f"#### {one.name}.{method.name}"
            yield from _function(method)


def _described(one: Documented) -> Iterator[str]:
    """The docstring, section by section."""
    if one.docstring is None:
        raise DevError(f"{one.filepath}:{one.lineno}: {one.path} has no docstring. Write one.")
    for section in one.docstring.parsed:
        kind = section.kind.value
        if kind == "text":
            yield paragraphs(section.value)
        elif kind == "parameters":
            yield table(
                ("argument", "type", "meaning"),
                [
                    (code(part.name), code(part.annotation), prose(part.description))
                    for part in section.value
                ],
            )
        elif kind == "attributes":
            continue  # they stand in one table with the properties
        elif kind == "returns":
            yield f"**Returns** {_lower(prose(_returned(one, section.value[0])))}"
        elif kind == "raises":
            yield table(
                ("raises", "when"),
                [(code(part.annotation), prose(part.description)) for part in section.value],
            )
        else:
            raise DevError(
                f"{one.path}: nothing here renders a section {kind!r} of a docstring. Write it as text, or "
                "teach dev/reference/python_page.py."
            )


def _returned(one: Documented, part: griffe.DocstringReturn) -> str:
    """What is returned. The parser takes the words before a colon for a type: here they are none."""
    text = " ".join(part.description.split())
    before = str(part.annotation)
    is_type = isinstance(one, griffe.Function) and before == str(one.returns)
    return text if is_type else f"{before}: {text}"


def _type(at: griffe.Attribute) -> str:
    """The type of an attribute; of a constant without one, that of its value."""
    if at.annotation is not None:
        return str(at.annotation)
    return type(ast.literal_eval(str(at.value))).__name__


def _signature(one: griffe.Function) -> str:
    returns = f" -> {one.returns}" if one.returns else ""
    return broken(f"{one.name}({_parameters(one.parameters)}){returns}")


def _parameters(of: Iterable[griffe.Parameter]) -> str:
    """The arguments as they are written, without `self`."""
    parts: list[str] = []
    before: griffe.ParameterKind | None = None
    only, positional = griffe.ParameterKind.keyword_only, griffe.ParameterKind.positional_only
    stars: dict[griffe.ParameterKind | None, str] = {
        griffe.ParameterKind.var_positional: "*",
        griffe.ParameterKind.var_keyword: "**",
    }
    for one in of:
        if one.name == "self" or (one.name == "cls" and one.annotation is None):
            continue
        if before is positional and one.kind is not positional:
            parts.append("/")
        if one.kind is only and before not in (only, griffe.ParameterKind.var_positional):
            parts.append("*")
        before = one.kind
        named = stars.get(one.kind, "") + one.name
        typed = f"{named}: {one.annotation}" if one.annotation else named
        equals = " = " if one.annotation else "="
        has_default = one.default is not None and one.kind not in stars
        parts.append(f"{typed}{equals}{one.default}" if has_default else typed)
    if before is positional:
        parts.append("/")
    return ", ".join(parts)


def _meaning(at: griffe.Attribute) -> str:
    """What an attribute means: its docstring if it is a property, the comment above it if it is a field."""
    text = _text(at) or above(at)
    if not text:
        raise DevError(
            f"{at.filepath}:{at.lineno}: {at.path} has no `#:` comment above it that says what it means. "
            "Write one."
        )
    return text


def _text(one: griffe.Object) -> str:
    """The docstring."""
    return one.docstring.value if one.docstring else ""


def _lower(text: str) -> str:
    """A sentence that goes on after a first word."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _parts(one: griffe.Object, kind: str) -> list[Any]:
    """The entries of a list in a docstring."""
    parsed = one.docstring.parsed if one.docstring else []
    return [part for section in parsed if section.kind.value == kind for part in section.value]


def _is_enum(one: griffe.Class) -> bool:
    return "Enum" in map(str, one.bases)


def _module(path: str) -> griffe.Module:
    found = packages().modules_collection[path]
    assert isinstance(found, griffe.Module)
    return found


def _target(path: str) -> griffe.Object:
    found = packages().modules_collection[path]
    return found.final_target if isinstance(found, griffe.Alias) else found
