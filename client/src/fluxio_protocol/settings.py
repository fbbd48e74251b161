"""Where table and queue are, and the boto3 clients that speak to them."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from fluxio_protocol.errors import SettingError

#: The name of the table: the module's output `table_name`.
TABLE_NAME = "FLUXIO_TABLE_NAME"
#: The URL of the queue: the module's output `queue_url`.
QUEUE_URL = "FLUXIO_QUEUE_URL"
#: How many days a run is kept after it ended: the module's input `retention_days`.
RETENTION_DAYS = "FLUXIO_RETENTION_DAYS"

#: Where the table and the queue are, if not where the AWS SDKs look: for fluxio's own clients, and no others.
ENDPOINT_URL = "FLUXIO_ENDPOINT_URL"


def setting(name: str, given: str | None = None, argument: str = "the argument") -> str:
    """An argument, or else the environment variable that stands in for it.

    `argument` is how the caller's own caller would pass it, for the message.

    Raises:
        SettingError: neither is there.
    """
    found = (given if given is not None else os.environ.get(name, "")).strip()
    if not found:
        raise SettingError(
            f"{name} is not set. Pass {argument}, or set the variable to the module's output "
            f"`{name.removeprefix('FLUXIO_').lower()}` (the output `client_environment` has both)."
        )
    return found


def queue_url(given: str | None = None, argument: str = "the argument") -> str:
    """The queue's URL, from the argument or FLUXIO_QUEUE_URL.

    Raises:
        SettingError: it is missing, or not the URL of a FIFO queue.
    """
    found = setting(QUEUE_URL, given, argument)
    if not found.startswith(("https://", "http://")) or not found.endswith(".fifo"):
        raise SettingError(
            f"{QUEUE_URL} is {found!r}, which is not the URL of a FIFO queue. "
            "Set it to the module's output `queue_url`."
        )
    return found


def whole(name: str, default: int, low: int, high: int, given: int | None = None) -> int:
    """A whole number from the argument, the environment variable `name`, or else the default.

    Raises:
        SettingError: it is not a whole number, or out of its bounds.
    """
    text = str(given) if given is not None else os.environ.get(name, "").strip() or str(default)
    # ASCII alone: `isdecimal` takes the digits of every script.
    if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
        raise SettingError(f"{name} is {text!r}: set it to a whole number from {low} to {high}.")
    return int(text)


def retention_days(given: int | None = None) -> int:
    """Days for which an ended run is kept, from the argument or FLUXIO_RETENTION_DAYS.

    Raises:
        SettingError: it is not a whole number from 1 to 3650.
    """
    return whole(RETENTION_DAYS, 90, 1, 3650, given)


@cache
def _session() -> Any:
    # botocore itself, which boto3 stands on: importing boto3 costs a cold start a tenth more. One session
    # for both clients: each reads the service descriptions anew, which costs more than all else here.
    import botocore.session

    session = botocore.session.get_session()
    loader = session.get_component("data_loader")

    def list_available_services(type_name: str) -> list[str]:  # noqa: ARG001
        # Asked whether there is the one service. botocore's own answer looks into the folder of each of AWS's
        # 400 services, for each kind of file: a third of the time in which a client is made.
        folders = filter(os.path.isdir, loader.search_paths)
        return sorted({entry.name for folder in folders for entry in os.scandir(folder)})

    loader.list_available_services = list_available_services
    return session


def aws_client(service: str, region: str | None = None, endpoint_url: str | None = None) -> Any:
    """The client of `botocore_client`, whose calls that runs are made of cost less processor time.

    Raises:
        SettingError: the environment does not say which AWS Region to speak to.
    """
    from fluxio_protocol.aws_call import OPERATIONS, make_lean

    client = botocore_client(service, region, endpoint_url)
    return make_lean(client) if service in OPERATIONS else client


def botocore_client(
    service: str, region: str | None = None, endpoint_url: str | None = None
) -> Any:
    """A client of boto3's kind that gives up soon enough for a message to go back to the queue instead.

    Region and endpoint are those of the environment, where they are not given.

    botocore's standard retry mode has exponential backoff with jitter and its own retry quota:
    https://docs.aws.amazon.com/boto3/latest/guide/retries.html

    Raises:
        SettingError: the environment does not say which AWS Region to speak to.
    """
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=3,
        read_timeout=10,
    )
    try:
        return _session().create_client(
            service,
            region_name=region,
            endpoint_url=endpoint_url or os.environ.get(ENDPOINT_URL) or None,
            config=config,
        )
    except NoRegionError:
        raise SettingError(
            "the AWS Region is not set. Set AWS_DEFAULT_REGION to the Region of the deployment."
        ) from None
