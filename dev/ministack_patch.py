"""MiniStack, mended at start-up where its answers differ from AWS's in ways that get in fluxio's way.

Run it in place of `ministack`, with the same environment:

    GATEWAY_PORT=4566 BIND_HOST=127.0.0.1 python dev/ministack_patch.py

or call `apply()` before MiniStack is started in the same process. Found with MiniStack 1.5.33:

- DescribeAlarms in the query protocol (XML), which Terraform's AWS provider speaks, leaves most fields of
  an alarm out, also of a composite one, so that every plan wants to change every alarm. They are added from
  what MiniStack has stored. What is there is left alone: once MiniStack answers in full by itself, this does
  nothing.
- PutMetricAlarm in that protocol drops the metrics of an alarm on metric math. They are stored, so that
  DescribeAlarms can tell them; such an alarm is never evaluated.
- UpdateContinuousBackups drops for how many days a table can be restored, so that every plan wants to set them.
  They are kept, 35 (AWS's default) where none are given.
- With AUTH=true, SendMessageBatch asks for the action sqs:SendMessageBatch. On AWS there is no such action:
  the right to send covers the batch (and so for DeleteMessageBatch and ChangeMessageVisibilityBatch).
- SendMessageBatch drops the system attributes of its entries, which carry the trace headers. They are kept.
- CreateVpcEndpoint drops the security groups and private DNS of an interface. They are kept and told.
- FilterLogEvents wants all terms of a pattern like `?ERROR ?timeout` in a line. Any of them will do.
- CloudWatch Logs does not know saved queries, and there is no Application Auto Scaling. What Terraform asks
  these for is stored and told again; nothing is scaled.
- CloudWatch Logs does not know how to give an existing log another key. It is kept and told.
- Scheduler lacks what the module's schedules need: see `ministack_events.py`.
- Step Functions sleep for 150 ms before each execution. They begin at once.
- With AUTH=true, the queues' policy refuses requests without TLS: all of them, on a plain loopback port.
  BEHIND_TLS=1 has MiniStack take every request for one that a TLS proxy passed on, so that the other
  policies can be tested.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"


def main() -> None:
    """Start MiniStack, patched, in the foreground."""
    from ministack.app import main as ministack

    apply(behind_tls=os.environ.get("BEHIND_TLS") == "1")
    ministack()


def apply(*, behind_tls: bool = False) -> None:
    """Patch the MiniStack of this process. Must be called before it serves."""
    from dev import ministack_events

    _describe_alarms_in_full()
    _keep_metric_math()
    _keep_the_recovery_period()
    _let_a_right_cover_its_batch()
    _keep_trace_headers_of_a_batch()
    _keep_all_of_an_endpoint()
    _find_any_of_several_terms()
    _know_saved_queries()
    _let_a_log_change_its_key()
    _know_scaling()
    ministack_events.apply()
    _begin_executions_at_once()
    if behind_tls:
        _take_requests_for_tls()


def _begin_executions_at_once() -> None:
    from ministack.services import stepfunctions

    # The sleep is a constant amid a function that goes on with the execution.
    code = stepfunctions._run_execution.__code__
    constants = tuple(0.0 if constant == 0.15 else constant for constant in code.co_consts)
    stepfunctions._run_execution.__code__ = code.replace(co_consts=constants)


def _describe_alarms_in_full() -> None:
    from ministack.services import cloudwatch

    as_shipped: Callable[..., Any] = cloudwatch._describe_alarms

    def describe_alarms(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        status, headers, body = as_shipped(params, data, is_cbor, is_json)
        if status == 200 and not is_cbor and not is_json:
            body = add_missing_fields(body, cloudwatch._alarms, cloudwatch._composite_alarms)
        return status, headers, body

    cloudwatch._describe_alarms = describe_alarms


def _keep_metric_math() -> None:
    from ministack.services import cloudwatch

    as_shipped: Callable[..., Any] = cloudwatch._put_metric_alarm

    def put_metric_alarm(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        answer = as_shipped(params, data, is_cbor, is_json)
        metrics = {} if is_cbor or is_json else nested(params).get("Metrics")
        if answer[0] == 200 and metrics:
            alarm = cloudwatch._alarms[cloudwatch._p(params, "AlarmName")]
            alarm["Metrics"] = metrics
            # An alarm has either a metric of its own or these.
            for field in ("MetricName", "Namespace", "Statistic", "Period", "Dimensions"):
                alarm.pop(field, None)
        return answer

    cloudwatch._put_metric_alarm = put_metric_alarm


def nested(params: Any) -> dict[str, Any]:
    """Flat parameters of the query protocol (`A.member.1.B=x`) as what they stand for (`{A: [{B: x}]}`)."""
    found: dict[str, Any] = {}
    for name, values in params.items():
        *path, last = name.split(".")
        at = found
        for part in path:
            at = at.setdefault(part, {})
        at[last] = values[0] if isinstance(values, list) else values
    unfolded: dict[str, Any] = _with_lists(found)
    return unfolded


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"member"}:
        return [_with_lists(value["member"][at]) for at in sorted(value["member"], key=int)]
    return {name: _with_lists(part) for name, part in value.items()}


def _keep_the_recovery_period() -> None:
    from ministack.services import dynamodb

    update: Callable[[Any], Any] = dynamodb._update_continuous_backups
    describe: Callable[[Any], Any] = dynamodb._describe_continuous_backups

    def update_continuous_backups(data: Any) -> Any:
        answer = update(data)
        asked = data.get("PointInTimeRecoverySpecification", {})
        if answer[0] == 200 and asked.get("PointInTimeRecoveryEnabled"):
            # Stored is whether it is on; a number says so, too.
            name = dynamodb._normalize_table_name(data["TableName"])
            dynamodb._pitr_settings[name] = asked.get("RecoveryPeriodInDays", 35)
        return answer

    def describe_continuous_backups(data: Any) -> Any:
        status, headers, body = describe(data)
        name = dynamodb._normalize_table_name(data.get("TableName"))
        if status == 200 and (days := dynamodb._pitr_settings.get(name)):
            told = json.loads(body)
            backups = told["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            backups["RecoveryPeriodInDays"] = days
            body = json.dumps(told).encode()
        return status, headers, body

    dynamodb._update_continuous_backups = update_continuous_backups
    dynamodb._describe_continuous_backups = describe_continuous_backups


def _let_a_right_cover_its_batch() -> None:
    from ministack.core import iam_actions

    as_shipped: Callable[..., str | None] = iam_actions.extract_iam_action

    def extract_iam_action(*args: Any, **kwargs: Any) -> str | None:
        action = as_shipped(*args, **kwargs)
        if action is not None and action.startswith("sqs:"):
            return action.removesuffix("Batch")
        return action

    iam_actions.extract_iam_action = extract_iam_action


def _keep_trace_headers_of_a_batch() -> None:
    from ministack.services import sqs

    batch: Callable[..., Any] = sqs._act_send_message_batch
    single: Callable[..., Any] = sqs._act_send_message
    sent_now = threading.local()

    def send_message_batch(data: Any, url: str) -> Any:
        sent_now.entries = iter(data.get("Entries", []))
        try:
            return batch(data, url)
        finally:
            sent_now.entries = iter(())

    def send_message(data: Any, url: str) -> Any:
        # The batch sends its entries one by one, in order.
        entry: dict[str, Any] = next(getattr(sent_now, "entries", iter(())), {})
        name = "MessageSystemAttributes"
        return single(data | {name: entry[name]} if name in entry else data, url)

    sqs._act_send_message = send_message
    sqs._HANDLERS["SendMessageBatch"] = send_message_batch


def _keep_all_of_an_endpoint() -> None:
    from ministack.services import ec2

    create: Callable[[Any], Any] = ec2._create_vpc_endpoint
    tell: Callable[..., str] = ec2._vpce_fields_xml

    def create_vpc_endpoint(params: Any) -> Any:
        answer = create(params)
        (made,) = re.findall(r"<vpcEndpointId>(.+?)<", str(answer[2]))
        ec2._vpc_endpoints[made] |= {
            "SecurityGroupIds": ec2._parse_member_list(params, "SecurityGroupId"),
            "PrivateDnsEnabled": ec2._p(params, "PrivateDnsEnabled") or "false",
        }
        return answer

    def vpce_fields_xml(endpoint: Any, tag: str = "item") -> str:
        ids = endpoint.get("SecurityGroupIds", [])
        groups = "".join(f"<item><groupId>{one}</groupId></item>" for one in ids)
        dns = endpoint.get("PrivateDnsEnabled", "false")
        more = f"<groupSet>{groups}</groupSet><privateDnsEnabled>{dns}</privateDnsEnabled>"
        return tell(endpoint, tag).replace("<subnetIdSet>", f"{more}<subnetIdSet>")

    ec2._ACTION_MAP["CreateVpcEndpoint"] = create_vpc_endpoint
    ec2._vpce_fields_xml = vpce_fields_xml


def _find_any_of_several_terms() -> None:
    from ministack.services import cloudwatch_logs

    as_shipped: Callable[[str], Callable[[str], bool]] = cloudwatch_logs._compile_filter_pattern

    def compile_filter_pattern(raw: str) -> Callable[[str], bool]:
        if not raw.startswith("?"):
            return as_shipped(raw)
        found = re.findall(r'\?(?:"([^"]+)"|(\S+))', raw)
        terms = [phrase or word for phrase, word in found]
        return lambda message: any(term in message for term in terms)

    cloudwatch_logs._compile_filter_pattern = compile_filter_pattern


def _let_a_log_change_its_key() -> None:
    from ministack.core.responses import json_response
    from ministack.services import cloudwatch_logs

    as_shipped: Callable[..., Any] = cloudwatch_logs.handle_request

    async def handle_request(method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in ("AssociateKmsKey", "DisassociateKmsKey"):
            return await as_shipped(method, path, headers, body, query)
        asked = json.loads(body)
        group = cloudwatch_logs._log_groups[asked["logGroupName"]]
        group.pop("kmsKeyId", None)
        if action == "AssociateKmsKey":
            group["kmsKeyId"] = asked["kmsKeyId"]
        return json_response({})

    cloudwatch_logs.handle_request = handle_request


def _know_saved_queries() -> None:
    from ministack.core.responses import json_response
    from ministack.services import cloudwatch_logs

    as_shipped: Callable[..., Any] = cloudwatch_logs.handle_request
    saved: dict[str, dict[str, Any]] = {}

    async def handle_request(method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        verb, _, noun = headers.get("x-amz-target", "").rpartition(".")[2].partition("Query")
        if noun not in ("Definition", "Definitions"):
            return await as_shipped(method, path, headers, body, query)
        asked = json.loads(body)
        given = asked.get("queryDefinitionId")
        if verb == "Put":
            given = given or str(uuid.uuid4())
            saved[given] = asked | {"queryDefinitionId": given}
            return json_response({"queryDefinitionId": given})
        if verb == "Delete":
            return json_response({"success": saved.pop(given, None) is not None})
        prefix = asked.get("queryDefinitionNamePrefix") or ""
        found = [one for one in saved.values() if one["name"].startswith(prefix)]
        return json_response({"queryDefinitions": found})

    cloudwatch_logs.handle_request = handle_request


def _know_scaling() -> None:
    from ministack import app
    from ministack.core import router
    from ministack.core.responses import error_response_json, json_response

    name = "application-autoscaling"
    answers = ScalingAnswers()

    async def handle_request(_method: str, _path: str, headers: Any, body: Any, _query: Any) -> Any:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            return json_response(answers.to(action, json.loads(body)))
        except KeyError as missing:
            return error_response_json("ObjectNotFoundException", f"{action}: no {missing}", 400)

    router.SERVICE_PATTERNS[name] = {"target_prefixes": ["AnyScaleFrontendService"]}
    app.SERVICE_HANDLERS[name] = handle_request


class ScalingAnswers:
    """Application Auto Scaling's memory: scalable targets, their policies and tags."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, dict[str, Any]]] = {"Target": {}, "Policy": {}}
        self._tags: dict[str, dict[str, str]] = {}

    def to(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to an action; KeyError if it is about something that is not there."""
        match action:
            case "RegisterScalableTarget":
                return {"ScalableTargetARN": self._keep("Target", asked)}
            case "PutScalingPolicy":
                return {"PolicyARN": self._keep("Policy", asked), "Alarms": []}
            case "DescribeScalableTargets":
                return {"ScalableTargets": self._find("Target", asked)}
            case "DescribeScalingPolicies":
                return {"ScalingPolicies": self._find("Policy", asked)}
            case "DeregisterScalableTarget":
                del self._kept["Target"][_scaled(asked)]
            case "DeleteScalingPolicy":
                del self._kept["Policy"][_scaled(asked)]
            case "ListTagsForResource":
                return {"Tags": self._tags[asked["ResourceARN"]]}
            case "TagResource":
                self._tags[asked["ResourceARN"]] |= asked["Tags"]
            case "UntagResource":
                for key in asked["TagKeys"]:
                    del self._tags[asked["ResourceARN"]][key]
            case _:
                raise KeyError(f"action {action}")
        return {}

    def _keep(self, kind: str, asked: dict[str, Any]) -> str:
        key = _scaled(asked)
        named = {"Target": "scalable-target", "Policy": "scaling-policy"}[kind]
        known = uuid.uuid5(uuid.NAMESPACE_URL, key).hex
        arn = f"arn:aws:application-autoscaling:us-east-1:000000000000:{named}/{known}"
        self._tags.setdefault(arn, {}).update(asked.pop("Tags", {}))
        there = self._kept[kind].get(key, {"CreationTime": 0})
        name = "ScalableTargetARN" if kind == "Target" else "PolicyARN"
        self._kept[kind][key] = there | asked | {name: arn}
        return arn

    def _find(self, kind: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Those that fit all that is asked for: one value of a field, or a list of some (`ResourceIds`)."""
        wanted = {
            name.removesuffix("s"): value if isinstance(value, list) else [value]
            for name, value in asked.items()
            if name not in ("MaxResults", "NextToken")
        }
        return [
            one
            for one in self._kept[kind].values()
            if all(one.get(name) in values for name, values in wanted.items())
        ]


def _scaled(asked: dict[str, Any]) -> str:
    names = ("PolicyName", "ResourceId", "ScalableDimension")
    return "/".join(asked[name] for name in names if name in asked)


def _take_requests_for_tls() -> None:
    from ministack import app

    as_shipped: Callable[[str, bool], None] = app.pin_request_origin
    app.pin_request_origin = lambda source_ip, _: as_shipped(source_ip, True)


def add_missing_fields(body: bytes, metric_alarms: Any, composite_alarms: Any) -> bytes:
    """A DescribeAlarms answer whose alarms have all the fields that are stored of them by name."""
    ElementTree.register_namespace("", NAMESPACE)
    answer = ElementTree.fromstring(body)
    for kind, stored in (("MetricAlarms", metric_alarms), ("CompositeAlarms", composite_alarms)):
        for member in answer.iterfind(f".//{{{NAMESPACE}}}{kind}/{{{NAMESPACE}}}member"):
            alarm = stored.get(member.findtext(f"{{{NAMESPACE}}}AlarmName")) or {}
            present = {child.tag.rpartition("}")[2] for child in member}
            for field, value in alarm.items():
                # Timestamps are stored as numbers, while this protocol wants ISO 8601; Terraform reads none.
                if field not in present and not field.endswith("Timestamp"):
                    _append(member, field, value)
    mended: bytes = ElementTree.tostring(answer, encoding="utf-8", xml_declaration=True)
    return mended


def _append(parent: ElementTree.Element, name: str, value: Any) -> None:
    """Write `value` as the query protocol does: lists as <member>s, absent values not at all."""
    if value is None:
        return
    element = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    if isinstance(value, dict):
        for key, item in value.items():
            _append(element, key, item)
    elif isinstance(value, list):
        for item in value:
            _append(element, "member", item)
    elif isinstance(value, bool):
        element.text = str(value).lower()
    else:
        element.text = str(value)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
