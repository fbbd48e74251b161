"""DynamoDB's expressions, as far as fluxio and `ctx.transact` use them: parsed, evaluated, applied.

What is outside this grammar raises NotImplementedError, so that nothing is quietly taken for true. Items are
never changed in place: an update makes a new item that shares what it left alone with the old one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fluxio_protocol import limits

Value = dict[str, Any]
Item = dict[str, Value]
Names = Mapping[str, str]
Values = Mapping[str, Value]
Path = tuple[str, ...]
Operand = Callable[[Item, Names, Values], "Value | None"]
Test = Callable[[Item, Names, Values], bool]

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*|[#:][A-Za-z0-9_]+|<=|>=|<>|[=<>(),.+\-\[\]])")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Invalid(Exception):
    """The request itself is wrong: ValidationException, with this message."""


class Unfit(Invalid):
    """The request does not fit the item there is; in a transaction that is a reason for its cancellation."""


@dataclass(frozen=True)
class Update:
    """A parsed UpdateExpression."""

    sets: tuple[tuple[Path, Operand], ...]
    removes: tuple[Path, ...]
    adds: tuple[tuple[Path, Operand], ...]


@dataclass(frozen=True)
class Used:
    """The placeholders of an expression."""

    names: frozenset[str]
    values: frozenset[str]


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.at = 0
        self.names: set[str] = set()
        self.values: set[str] = set()
        end = 0
        while end < len(text.rstrip()):
            match = _TOKEN.match(text, end)
            if match is None:
                raise Invalid(f'Syntax error; token: "{text[end : end + 10]}"')
            self.tokens.append(match[1])
            end = match.end()

    @property
    def used(self) -> Used:
        return Used(frozenset(self.names), frozenset(self.values))

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def take(self, *wanted: str) -> str:
        """The next token, if it is one of these words (in any case) or signs; else nothing."""
        if self.peek().upper() in wanted:
            return self.next().upper()
        return ""

    def need(self, *wanted: str) -> str:
        found = self.take(*wanted)
        if not found:
            raise Invalid(f'Syntax error; token: "{self.peek() or "<EOF>"}", wanted {wanted}')
        return found

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise Invalid(f'Syntax error; token: "{self.peek()}"')

    # --- paths and operands

    def path(self) -> Path:
        parts = [self.part()]
        while self.take("."):
            parts.append(self.part())
        if self.peek() == "[":
            raise NotImplementedError("lists")
        return tuple(parts)

    def part(self) -> str:
        token = self.next()
        if token.startswith("#"):
            self.names.add(token)
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", token):
            raise Invalid(f'Syntax error; token: "{token or "<EOF>"}", wanted a path')
        return token

    def operand(self) -> Operand:
        token = self.peek()
        if token.startswith(":"):
            self.values.add(self.next())
            return lambda item, names, values: values[token]
        if self.following() == "(":
            return self.function()
        path = self.path()
        return lambda item, names, values: get(item, resolve(path, names))

    def following(self) -> str:
        return self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""

    def function(self) -> Operand:
        name = self.next()
        self.need("(")
        path = self.path()
        if name == "if_not_exists":
            self.need(",")
            other = self.operand()
            self.need(")")

            def if_not_exists(item: Item, names: Names, values: Values) -> Value | None:
                there = get(item, resolve(path, names))
                return other(item, names, values) if there is None else there

            return if_not_exists
        if name == "size":
            self.need(")")

            def size(item: Item, names: Names, values: Values) -> Value | None:
                there = get(item, resolve(path, names))
                return None if there is None else {"N": str(len(next(iter(there.values()))))}

            return size
        raise NotImplementedError(f"the function {name}")

    # --- conditions

    def condition(self) -> Test:
        tests = [self.conjunction()]
        while self.take("OR"):
            tests.append(self.conjunction())
        if len(tests) == 1:
            return tests[0]
        return lambda *at: any(test(*at) for test in tests)

    def conjunction(self) -> Test:
        tests = [self.negation()]
        while self.take("AND"):
            tests.append(self.negation())
        if len(tests) == 1:
            return tests[0]
        return lambda *at: all(test(*at) for test in tests)

    def negation(self) -> Test:
        if self.take("NOT"):
            test = self.negation()
            return lambda *at: not test(*at)
        if self.take("("):
            inner = self.condition()
            self.need(")")
            return inner
        if self.following() == "(" and self.peek() in (
            "attribute_exists",
            "attribute_not_exists",
            "attribute_type",
            "begins_with",
        ):
            return self.predicate()
        return self.comparison()

    def predicate(self) -> Test:
        name = self.next()
        self.need("(")
        path = self.path()
        if name == "attribute_type":
            self.need(",")
            kind = self.operand()
            self.need(")")

            def is_of_type(item: Item, names: Names, values: Values) -> bool:
                there, wanted = get(item, resolve(path, names)), kind(item, names, values)
                return bool(there and wanted and wanted["S"] in there)

            return is_of_type
        if name == "begins_with":
            self.need(",")
            prefix = self.operand()
            self.need(")")

            def begins(item: Item, names: Names, values: Values) -> bool:
                there, wanted = get(item, resolve(path, names)), prefix(item, names, values)
                return bool(there and wanted and there.get("S", "").startswith(wanted["S"]))

            return begins
        self.need(")")
        wanted = name == "attribute_exists"
        return lambda item, names, values: (get(item, resolve(path, names)) is not None) is wanted

    def comparison(self) -> Test:
        left = self.operand()
        word = self.need("=", "<>", "<", "<=", ">", ">=", "IN", "BETWEEN")
        if word == "IN":
            self.need("(")
            options = [self.operand()]
            while self.take(","):
                options.append(self.operand())
            self.need(")")
            return lambda *at: any(_compare("=", left(*at), option(*at)) for option in options)
        if word == "BETWEEN":
            low = self.operand()
            self.need("AND")
            high = self.operand()
            return lambda *at: (
                _compare(">=", left(*at), low(*at)) and _compare("<=", left(*at), high(*at))
            )
        right = self.operand()
        return lambda *at: _compare(word, left(*at), right(*at))

    # --- updates

    def update(self) -> Update:
        sets: list[tuple[Path, Operand]] = []
        removes: list[Path] = []
        adds: list[tuple[Path, Operand]] = []
        seen: set[str] = set()
        while self.peek():
            clause = self.need("SET", "REMOVE", "ADD")
            if clause in seen:
                raise Invalid(
                    f'The "{clause}" section can only be used once in an update expression;'
                )
            seen.add(clause)
            while True:
                path = self.path()
                if clause == "SET":
                    self.need("=")
                    sets.append((path, self.sum()))
                elif clause == "ADD":
                    adds.append((path, self.operand()))
                else:
                    removes.append(path)
                if not self.take(","):
                    break
        if not seen:
            raise Invalid("The expression can not be empty;")
        return Update(tuple(sets), tuple(removes), tuple(adds))

    def sum(self) -> Operand:
        left = self.operand()
        sign = self.take("+", "-")
        if not sign:
            return left
        right = self.operand()

        def total(item: Item, names: Names, values: Values) -> Value | None:
            one, other = left(item, names, values), right(item, names, values)
            if one is None or other is None:
                return None
            return _add(one, other, -1 if sign == "-" else 1)

        return total


@lru_cache(maxsize=50_000)
def parse_condition(text: str) -> tuple[Test, Used]:
    """A ConditionExpression, KeyConditionExpression or FilterExpression."""
    parser = _parser(text, "ConditionExpression")
    test = parser.condition()
    parser.end()
    return test, parser.used


@lru_cache(maxsize=50_000)
def parse_update(text: str) -> tuple[Update, Used]:
    """An UpdateExpression."""
    parser = _parser(text, "UpdateExpression")
    return parser.update(), parser.used


def _parser(text: str, kind: str) -> _Parser:
    if not text:
        raise Invalid(f"Invalid {kind}: The expression can not be empty;")
    if refusals := list(limits.expression_refusals({kind: text})):
        raise Invalid(f"Invalid {kind}: {refusals[0]};")
    return _Parser(text)


def check_placeholders(used: list[Used], names: Names, values: Values) -> None:
    """Every placeholder is defined, and every definition used."""
    for given, of, what in (
        (names, frozenset().union(*(part.names for part in used)), "Names"),
        (values, frozenset().union(*(part.values for part in used)), "Values"),
    ):
        if given.keys() == of:
            continue
        if missing := sorted(of - given.keys()):
            raise Invalid(
                f"An expression attribute {what.lower()[:-1]} used in expression is not defined; "
                f"attribute {what.lower()[:-1]}: {missing[0]}"
            )
        unused = ", ".join(sorted(given.keys() - of))
        raise Invalid(
            f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{unused}}}"
        )


def resolve(path: Path, names: Names) -> Path:
    """A path with its placeholders filled in."""
    return tuple([names[part] if part[0] == "#" else part for part in path])


def get(item: Item, path: Path) -> Value | None:
    """What stands at a path, or nothing."""
    node: Any = item
    for part in path[:-1]:
        found = node.get(part)
        if found is None or "M" not in found:
            return None
        node = found["M"]
    found = node.get(path[-1])
    return None if found is None else found


def _compare(sign: str, one: Value | None, other: Value | None) -> bool:
    if one is None or other is None:
        return False
    (kind, a), (other_kind, b) = next(iter(one.items())), next(iter(other.items()))
    if kind != other_kind:
        return sign == "<>"
    if kind == "N":
        return _COMPARED[sign](Decimal(a), Decimal(b))
    if kind not in "SB" and sign not in ("=", "<>"):
        return False
    return _COMPARED[sign](a, b)


def _add(one: Value, other: Value, sign: int) -> Value:
    if "N" not in one or "N" not in other:
        raise Unfit("An operand in the update expression has an incorrect data type")
    return {"N": str(Decimal(one["N"]) + sign * Decimal(other["N"]))}


def apply(item: Item, update: Update, names: Names, values: Values) -> Item:
    """The item after the update; every right side is read from the item before it."""
    sets = [(resolve(path, names), operand) for path, operand in update.sets]
    removes = [resolve(path, names) for path in update.removes]
    adds = [(resolve(path, names), operand) for path, operand in update.adds]
    _refuse_overlap([*(path for path, _ in sets), *removes, *(path for path, _ in adds)])
    changes: list[tuple[Path, Value | None]] = []
    for path, operand in sets:
        value = operand(item, names, values)
        if value is None:
            raise Unfit(
                "The provided expression refers to an attribute that does not exist in the item"
            )
        changes.append((path, value))
    changes += [(path, None) for path in removes]
    for path, operand in adds:
        there, value = get(item, path), operand(item, names, values)
        assert value is not None
        changes.append((path, value if there is None else _add(there, value, 1)))
    new = dict(item)
    for path, value in changes:
        node = new
        for part in path[:-1]:
            child = node.get(part)
            if child is None or "M" not in child:
                raise Unfit(
                    "The document path provided in the update expression is invalid for update"
                )
            child = {"M": dict(child["M"])}
            node[part] = child
            node = child["M"]
        if value is not None:
            node[path[-1]] = value
        else:
            node.pop(path[-1], None)
    return new


def _refuse_overlap(paths: list[Path]) -> None:
    taken = set(paths)
    if len(taken) == len(paths) and not any(
        path[:length] in taken for path in paths for length in range(1, len(path))
    ):
        return
    raise Invalid(
        "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite "
        "one of these paths;"
    )
