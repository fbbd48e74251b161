"""MiniStack's EventBridge Scheduler, mended where fluxio's module uses more of it than MiniStack has.

`dev/ministack_patch.py` applies this. Found with MiniStack 1.5.33:

- Scheduler does not put the scheduled time in place of `<aws.scheduler.scheduled-time>`. It does here.
- Scheduler does not know universal targets. It knows `aws-sdk:sqs:sendMessage` here.
- Scheduler looks every ten seconds for what is due. It looks every second here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


def apply() -> None:
    """Patch the MiniStack of this process. Must be called before it serves."""
    _fill_in_the_scheduled_time()


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
