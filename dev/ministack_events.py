"""MiniStack's EventBridge Scheduler and Pipes, mended where fluxio's module uses more than MiniStack has.

`dev/ministack_patch.py` applies this. Found with MiniStack 1.5.33:

- Scheduler does not put the scheduled time in place of `<aws.scheduler.scheduled-time>`. It does here.
- Scheduler does not know universal targets. It knows `aws-sdk:sqs:sendMessage` here.
- Scheduler looks every ten seconds for what is due. It looks every second here.
- Pipes drop a pipe's parameters. They are kept and told; a pipe filters and transforms by them.
- Pipes do not send to event buses. They do here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

PARAMETERS = ("SourceParameters", "TargetParameters")
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


def apply() -> None:
    """Patch the MiniStack of this process. Must be called before it serves."""
    _fill_in_the_scheduled_time()
    _keep_the_parameters_of_a_pipe()
    _filter_and_transform_in_a_pipe()


def _fill_in_the_scheduled_time() -> None:
    from ministack.services import eventbridge, scheduler, sqs

    invoke: Callable[..., Any] = eventbridge._invoke_target

    def invoke_target(target: Any, event: Any, rule: Any, view: Any = None) -> Any:
        if event.get("Source") == "aws.scheduler" and "Input" in target:
            at = scheduler._at_time_epoch(rule.get("ScheduleExpression", "")) or event["Time"]
            said = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
            target = target | {"Input": target["Input"].replace(SCHEDULED_TIME, said)}
        if target.get("Arn", "").endswith(":scheduler:::aws-sdk:sqs:sendMessage"):
            asked = json.loads(target["Input"])
            return sqs._act_send_message(asked, asked["QueueUrl"])
        return invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_target
    scheduler._SCHEDULE_TICK_INTERVAL = 1


def _keep_the_parameters_of_a_pipe() -> None:
    from ministack.services import pipes

    def keeping(as_shipped: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
        def call(name: str, asked: Any) -> Any:
            answer = as_shipped(name, asked)
            if answer[0] == 200:
                there = pipes._pipes[name]
                there |= {of: asked[of] for of in PARAMETERS if of in asked}
            return answer

        return call

    describe: Callable[[Any], Any] = pipes._describe_response
    pipes._create_pipe = keeping(pipes._create_pipe)
    pipes._update_pipe = keeping(pipes._update_pipe)
    pipes._describe_response = lambda pipe: (
        describe(pipe) | {of: pipe[of] for of in PARAMETERS if of in pipe}
    )


def _filter_and_transform_in_a_pipe() -> None:
    from ministack.services import eventbridge, pipes

    deliver: Callable[[Any, list[Any]], bool] = pipes._deliver_batch

    def deliver_batch(pipe: Any, batch: list[Any]) -> bool:
        criteria = pipe.get("SourceParameters", {}).get("FilterCriteria", {})
        patterns = [json.loads(one["Pattern"]) for one in criteria.get("Filters", [])]
        kept = [
            record
            for record in batch
            if not patterns
            or any(eventbridge._matches_detail(record, pattern) for pattern in patterns)
        ]
        parameters = pipe.get("TargetParameters", {})
        if template := parameters.get("InputTemplate"):
            kept = [json.loads(transformed(template, record)) for record in kept]
        if pipes._arn_service(pipe["Target"]) != "events":
            return deliver(pipe, kept)
        bus = parameters.get("EventBridgeEventBusParameters", {})
        said = {name: bus[name] for name in ("Source", "DetailType", "Resources") if name in bus}
        to = {"EventBusName": pipe["Target"], **said}
        for record in kept:
            eventbridge._put_events({"Entries": [{**to, "Detail": json.dumps(record)}]})
        return True

    pipes._deliver_batch = deliver_batch


def transformed(template: str, record: Any) -> str:
    """An input template with what its paths (`"<$.a.b>"`) name; nothing where there is nothing."""

    def value(path: re.Match[str]) -> str:
        found = record
        for name in path[1].split("."):
            found = found.get(name, "") if isinstance(found, dict) else ""
        return json.dumps(found)[1:-1] if isinstance(found, str) else json.dumps(found)

    return re.sub(r"<\$\.([\w.]+)>", value, template)
