"""Requests to AWS held against the services' own models, as botocore ships them.

`read` decodes what was sent; `problems` says what the service would refuse. botocore's validator covers types,
required and unknown members and minima; maxima, patterns and enumerations are checked here, and a few bounds
that AWS documents but no model has.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import regex
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.parsers import RpcV2CBORParser
from botocore.session import get_session
from botocore.validate import ParamValidator

SERVICES = {"monitoring": "cloudwatch"}
"""Names of services where a signature has another one than botocore."""


class Request(NamedTuple):
    """What a client sent."""

    method: str
    target: str
    """The path, with the query string."""
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes


class Call(NamedTuple):
    """A request in the service's own terms."""

    service: str
    operation: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


@cache
def model(service: str) -> ServiceModel:
    return get_session().get_service_model(service)


# ---- Reading ------------------------------------------------------------------------------------------------


def read(request: Request) -> Call:
    """The call that a signed request makes.

    Raises:
        ValueError: the request is not signed, or its service has no such operation.
    """
    signed = regex.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers["authorization"])
    if not signed:
        raise ValueError(f"unsigned: {request.method} {request.target}")
    service = SERVICES.get(signed[1], signed[1])
    of = model(service)
    path = urlsplit(request.target).path
    if target := request.headers.get("x-amz-target"):
        operation = of.operation_model(target.rpartition(".")[2])
        return _call(of, operation, _from_json(operation.input_shape, _body(request)))
    if rpc := regex.fullmatch(r"/service/[^/]+/operation/(\w+)", path):
        operation = of.operation_model(rpc[1])
        return _call(of, operation, _from_cbor(request.body))
    if "form-urlencoded" in request.headers.get("content-type", ""):
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        operation = of.operation_model(fields.pop("Action"))
        fields.pop("Version")
        rules = _Ec2() if of.metadata["protocol"] == "ec2" else _Query()
        return _call(of, operation, rules.parameters(operation.input_shape, fields))
    operation, in_path = _rest_operation(of, request.method, path)
    return _call(of, operation, _from_rest(operation, in_path, request))


def _call(of: ServiceModel, operation: OperationModel, parameters: Mapping[str, Any]) -> Call:
    return Call(of.service_name, operation.name, parameters)


def _body(request: Request) -> Any:
    return json.loads(request.body) if request.body else {}


def _from_json(shape: Shape | None, value: Any) -> Any:
    """A JSON value, with the names and types of the model. What the model does not know stays as it is."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {part.serialization.get("name", name): name for name, part in shape.members.items()}
        return {
            names.get(name, name): _from_json(shape.members.get(names.get(name, name)), part)
            for name, part in value.items()
            if part is not None
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_from_json(shape.member, part) for part in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _from_json(shape.value, part) for key, part in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    return value


def _from_cbor(body: bytes) -> Any:
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}


class _Query:
    """Flat fields of the query protocol (`A.member.1.B=x`) as what they stand for (`{A: [{B: x}]}`)."""

    def parameters(self, shape: Shape | None, fields: Mapping[str, str]) -> dict[str, Any]:
        self._fields, self._read = fields, set[str]()
        known = self._value(shape, "") if shape else {}
        return {**known, **{name: fields[name] for name in fields.keys() - self._read}}

    def _value(self, shape: Shape, at: str) -> Any:
        if shape.type_name == "structure":
            named = {name: self._join(at, self._name(shape, name)) for name in shape.members}
            return {
                name: self._value(shape.members[name], where)
                for name, where in named.items()
                if self._is_there(self._first_of(shape.members[name], where))
            }
        if shape.type_name == "list":
            self._read.add(at)  # an empty list is sent as an empty field
            return [self._value(shape.member, one) for one in self._items(self._list(shape, at))]
        if shape.type_name == "map":
            entries = self._items(at if shape.serialization.get("flattened") else f"{at}.entry")
            key, value = (
                part.serialization.get("name", default)
                for part, default in ((shape.key, "key"), (shape.value, "value"))
            )
            return {
                self._value(shape.key, f"{one}.{key}"): self._value(shape.value, f"{one}.{value}")
                for one in entries
            }
        self._read.add(at)
        return _scalar(shape, self._fields[at])

    def _name(self, structure: Shape, member: str) -> str:
        return str(structure.members[member].serialization.get("name", member))

    def _list(self, shape: Shape, at: str) -> str:
        name = shape.member.serialization.get("name")
        if not shape.serialization.get("flattened"):
            return f"{at}.{name or 'member'}"
        return self._join(at.rpartition(".")[0], name) if name else at

    def _first_of(self, shape: Shape, at: str) -> str:
        """What the fields of a member begin with: a flattened list goes by the name of its items."""
        flattened = shape.type_name == "list" and shape.serialization.get("flattened")
        return self._list(shape, at) if flattened else at

    def _is_there(self, at: str) -> bool:
        return any(name == at or name.startswith(f"{at}.") for name in self._fields)

    def _items(self, at: str) -> list[str]:
        found = {
            name[len(at) + 1 :].partition(".")[0]
            for name in self._fields
            if name.startswith(f"{at}.")
        }
        return [f"{at}.{index}" for index in sorted(filter(str.isdecimal, found), key=int)]

    @staticmethod
    def _join(at: str, name: str) -> str:
        return f"{at}.{name}" if at else name


class _Ec2(_Query):
    """The same, with EC2's own names; lists are always flat."""

    def _name(self, structure: Shape, member: str) -> str:
        known = structure.members[member].serialization
        if "queryName" in known:
            return str(known["queryName"])
        name = str(known.get("name", member))
        return name[0].upper() + name[1:]

    def _list(self, shape: Shape, at: str) -> str:
        return at

    def _first_of(self, shape: Shape, at: str) -> str:
        return at


def _scalar(shape: Shape, text: str) -> Any:
    convert: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "long": int,
        "float": float,
        "double": float,
        "boolean": {"true": True, "false": False}.__getitem__,
        "blob": base64.b64decode,
    }
    return convert.get(shape.type_name, str)(text)


def _rest_operation(
    of: ServiceModel, method: str, path: str
) -> tuple[OperationModel, dict[str, str]]:
    """The operation at a path, and what the path holds. The longest template fits best."""
    fitting = [
        (len(template), operation, found.groupdict())
        for name in of.operation_names
        if (operation := of.operation_model(name)).http["method"] == method
        if (template := operation.http["requestUri"].partition("?")[0])
        if (found := regex.fullmatch(_pattern_of(template), path))
    ]
    if not fitting:
        raise ValueError(f"{of.service_name} has no operation at {method} {path}")
    _, operation, in_path = max(fitting, key=lambda one: one[0])
    return operation, {name: unquote(value) for name, value in in_path.items()}


def _pattern_of(template: str) -> str:
    literal = regex.escape(template.rstrip("/"), special_only=True)
    escaped = regex.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", literal)
    return regex.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", escaped) + "/?"


def _from_rest(operation: OperationModel, in_path: dict[str, str], request: Request) -> Any:
    shape = operation.input_shape
    if shape is None:
        return _body(request)
    in_query = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        called = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                found[name] = _scalar(member, in_path[called])
            case "header" if called.lower() in request.headers:
                found[name] = _scalar(member, request.headers[called.lower()])
            case "querystring" if values := [value for key, value in in_query if key == called]:
                one = member.member if member.type_name == "list" else member
                listed = [_scalar(one, value) for value in values]
                found[name] = listed if member.type_name == "list" else listed[0]
    if payload := shape.serialization.get("payload"):
        return {**found, payload: _from_json(shape.members[payload], _body(request))}
    return {**found, **_from_json(shape, _body(request))}


# ---- Checking -----------------------------------------------------------------------------------------------


def problems(call: Call) -> list[str]:
    """What the service would refuse, each with the path of the member."""
    shape = model(call.service).operation_model(call.operation).input_shape
    if shape is None:
        return []
    report = ParamValidator().validate(dict(call.parameters), shape).generate_report()
    beyond = [f"{at}: {what}" for at, what in _beyond(shape, call.parameters, "")]
    documented = list(_documented(call))
    return [
        f"{call}: {line}" for line in [*filter(None, report.splitlines()), *beyond, *documented]
    ]


def _beyond(shape: Shape, value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Maxima, patterns and enumerations, at every depth."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, part in value.items():
            if name in shape.members:
                yield from _beyond(shape.members[name], part, f"{at}.{name}".lstrip("."))
    elif shape.type_name == "list" and isinstance(value, list):
        for index, part in enumerate(value):
            yield from _beyond(shape.member, part, f"{at}[{index}]")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for key, part in value.items():
            yield from _beyond(shape.key, key, f"{at}.{key} (key)")
            yield from _beyond(shape.value, part, f"{at}.{key}")
    yield from ((at, what) for what in _limits(shape, value))


def _limits(shape: Shape, value: Any) -> Iterator[str]:
    limits = shape.metadata
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number or hasattr(value, "__len__"):
        size = value if is_number else len(value)
        unit = "" if is_number else " long"
        if "max" in limits and size > limits["max"]:
            yield f"{size}{unit}, at most {limits['max']}: {value!r:.200}"
    if isinstance(value, str):
        if (pattern := limits.get("pattern")) and not _java_pattern(pattern).fullmatch(value):
            yield f"{value!r:.200} does not match {pattern}"
        # A model lists the values of its day; one that is not in it is new, or wrong.
        if (allowed := limits.get("enum")) and value not in allowed:
            yield f"{value!r:.200} is none of {', '.join(allowed)}"


@cache
def _java_pattern(pattern: str) -> regex.Pattern[str]:
    """Models write patterns as Java reads them: characters beyond 16 bits as pairs."""
    pairs = r"\uD800\uDC00-\uDBFF\uDFFF"
    return regex.compile(pattern.replace(pairs, r"\U00010000-\U0010FFFF"))


# What AWS documents, and its models do not have.

_QUEUE_BOUNDS = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1048576),
    "MessageRetentionPeriod": (60, 1209600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43200),
}
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""

_LONGEST = {
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
    "sqs:CreateQueue": ("QueueName", 80),
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html: 1,024 are for ARNs
    "dynamodb:CreateTable": ("TableName", 255),
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html: 140 are for ARNs
    "lambda:CreateFunction": ("FunctionName", 64),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: white space is not counted
    "iam:PutRolePolicy": ("PolicyDocument", 10240),
    "iam:CreatePolicy": ("PolicyDocument", 6144),
    "iam:CreateRole": ("AssumeRolePolicyDocument", 2048),
}

_FUNCTION_BOUNDS = {"MemorySize": (128, 10240), "Timeout": (1, 900)}
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; the model has wider ones."""

_ENVIRONMENT = 4096
"""Bytes of a function's environment, names and values together; the same page."""


def _documented(call: Call) -> Iterator[str]:
    given = call.parameters
    if str(call) in _LONGEST:
        member, most = _LONGEST[str(call)]
        size = len("".join(str(given.get(member, "")).split()))
        if size > most:
            yield f"{member}: {size} long, at most {most}"
    if call.service == "sqs":
        yield from _out_of_bounds(given.get("Attributes", {}), _QUEUE_BOUNDS)
    if call.service == "lambda":
        yield from _out_of_bounds(given, _FUNCTION_BOUNDS)
        variables = given.get("Environment", {}).get("Variables", {})
        size = sum(len(name) + len(value) for name, value in variables.items())
        if size > _ENVIRONMENT:
            yield f"Environment: {size} bytes, at most {_ENVIRONMENT}"


def _out_of_bounds(
    given: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    for name, (least, most) in bounds.items():
        if name in given and not least <= int(given[name]) <= most:
            yield f"{name}: {given[name]}, from {least} to {most}"
