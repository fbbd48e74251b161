"""The X-Ray daemon, as far as a worker sees it: a UDP socket on loopback, which reads what it is sent."""

from __future__ import annotations

import json
import re
import socket
from contextlib import suppress
from typing import Any

#: What stands before each document.
#: https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html
HEADER = b'{"format":"json","version":1}\n'


class Daemon:
    """What the X-Ray daemon would have been sent."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.documents: list[dict[str, Any]] = []
        self.largest = 0

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        self._socket.close()

    def read(self) -> list[dict[str, Any]]:
        """All documents so far, in the order they came, each checked."""
        with suppress(BlockingIOError):
            while True:
                datagram = self._socket.recv(1 << 16)
                assert datagram.startswith(HEADER)
                self.largest = max(self.largest, len(datagram))
                document = json.loads(datagram.removeprefix(HEADER))
                check(document)
                self.documents.append(document)
        return self.documents

    def segments(self) -> list[dict[str, Any]]:
        """The segments as X-Ray shows them: the last document of each, with the subsegments below it."""
        whole: dict[str, dict[str, Any]] = {}
        for document in self.read():
            known = whole.setdefault(document["id"], {"documents": 0})
            assert not known.get("end_time"), "nothing follows a complete document"
            whole[document["id"]] = document | {"documents": known["documents"] + 1}
        assert all(document["documents"] <= 2 for document in whole.values())
        found = {
            name: document | {"steps": []}
            for name, document in whole.items()
            if "type" not in document
        }
        for document in whole.values():
            if "type" in document:
                found[document["parent_id"]]["steps"].append(document)
        return list(found.values())

    def attempts(self) -> list[dict[str, Any]]:
        """The subsegments, in the order in which they began."""
        return [attempt for segment in self.segments() for attempt in segment["steps"]]


def check(document: dict[str, Any]) -> None:
    """What X-Ray asks of a document.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
    """
    assert re.fullmatch(r"[0-9a-f]{16}", document["id"])
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", document["trace_id"])
    assert re.fullmatch(r"[\w\s.:/%&#=+\-@]{1,200}", document["name"])
    assert document.get("type") in (None, "subsegment")
    assert re.fullmatch(r"[0-9a-f]{16}", document.get("parent_id", "0" * 16))
    assert "type" not in document or "parent_id" in document, (
        "a subsegment by itself names its parent"
    )
    assert isinstance(document["start_time"], float)
    assert document["in_progress"] is ("end_time" not in document)
    assert document.get("end_time", document["start_time"]) >= document["start_time"]
    for name, value in document["annotations"].items():
        assert re.fullmatch(r"\w+", name)
        assert isinstance(value, (str, int))
