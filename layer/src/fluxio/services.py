"""What the handling of a message works with."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from fluxio.attempt import Threads
from fluxio.deployment import Deployment
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store, Written


def _place() -> str:
    """The end of this Lambda instance's log stream name, by which an operator finds the log of a step."""
    # Enough to find it by, and paid for in each step.
    stream = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")[-6:]
    return stream if stream.isalnum() else f"{os.getpid():x}"


def _in_a_thread(call: Callable[[], Written]) -> Written:
    """Make a call in a thread of its own: one that is interrupted would leave a connection half used."""
    ended: SimpleQueue[Written | Exception] = SimpleQueue()

    def work() -> None:
        try:
            ended.put(call())
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            ended.put(error)

    threading.Thread(target=work, daemon=True).start()
    found = ended.get()
    if isinstance(found, Exception):
        raise found
    return found


class Services(NamedTuple):
    """What the loop works with; tests bring their own."""

    store: Store
    queue: Queue
    deployment: Deployment
    now: Callable[[], int]
    #: A fresh fence for each message handled.
    new_token: Callable[[], str] = lambda: f"{_place()}.{secrets.token_urlsafe(6)}"
    #: A number from 0 to 1 for each backoff's jitter.
    chance: Callable[[], float] = random.SystemRandom().random  # which no step can seed
    #: What runs the branches of a fan-out side by side.
    new_threads: Callable[[], Threads] = Threads
    #: Waits so many seconds.
    sleep: Callable[[float], None] = time.sleep
    #: Makes a call for a step, in whose thread the step's timeout may interrupt anything.
    aside: Callable[[Callable[[], Written]], Written] = _in_a_thread
