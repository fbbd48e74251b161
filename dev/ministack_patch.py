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
- With AUTH=true, SendMessageBatch asks for the action sqs:SendMessageBatch. On AWS there is no such action:
  the right to send covers the batch (and so for DeleteMessageBatch and ChangeMessageVisibilityBatch).
- SendMessageBatch drops the system attributes of its entries, which carry the trace headers. They are kept.
- With AUTH=true, the queues' policy refuses requests without TLS: all of them, on a plain loopback port.
  BEHIND_TLS=1 has MiniStack take every request for one that a TLS proxy passed on, so that the other
  policies can be tested.
"""

from __future__ import annotations

import os
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"


def main() -> None:
    """Start MiniStack, patched, in the foreground."""
    from ministack.app import main as ministack

    apply(behind_tls=os.environ.get("BEHIND_TLS") == "1")
    ministack()


def apply(*, behind_tls: bool = False) -> None:
    """Patch the MiniStack of this process. Must be called before it serves."""
    _describe_alarms_in_full()
    _keep_metric_math()
    _let_a_right_cover_its_batch()
    _keep_trace_headers_of_a_batch()
    if behind_tls:
        _take_requests_for_tls()


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
    main()
