"""An HTTP server on loopback that answers as it is told to, byte for byte, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: Closes the connection without an answer, as a reset.
RESET = b"reset"
#: Leaves the request without an answer.
SILENCE = b"silence"


class Last(bytes):
    """An answer after which the connection is closed, which it does not say."""


class Asked(NamedTuple):
    """A request that came in."""

    #: The number of the connection it came by, from 0.
    connection: int
    #: By names in lower case.
    headers: dict[str, str]
    body: bytes


Answer = bytes | Callable[[Asked], bytes]


def answer(
    body: Any,
    status: str = "200 OK",
    headers: dict[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """An answer with a JSON body, or with one of bytes; `length` is what it says of its length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "x-amzn-RequestId": "REQUEST",
        "Content-Type": "application/x-amz-json-1.0",
        "Date": "Wed, 25 Nov 2026 07:00:00 GMT",
        "Content-Length": str(len(content) if length is None else length),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + content


def checked(body: Any, wrong_by: int = 0) -> bytes:
    """The same with DynamoDB's checksum."""
    content = json.dumps(body).encode()
    return answer(content, headers={"x-amz-crc32": str(zlib.crc32(content) + wrong_by)})


def refusal(code: str, status: str = "400 Bad Request", **fields: Any) -> bytes:
    """An error of a service that speaks JSON."""
    return answer({"__type": f"com.amazonaws#{code}", "Message": f"{code} it is", **fields}, status)


class Answers:
    """The server. Each request gets the next of `script`; the last one goes on being given."""

    def __init__(self, *script: Answer, certificate: Path | None = None) -> None:
        self.script = list(script)
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.asked: list[Asked] = []
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self._listening.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            if self._tls:
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except OSError:
                    continue  # the client does not trust it
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            number = len(self._connections) - 1
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as incoming:
            while asked := _read(incoming, number):
                with self._lock:
                    self.asked.append(asked)
                    told = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                given = told(asked) if callable(told) else told
                if given == RESET:
                    # Closing with a linger of no seconds sends a reset.
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    return
                if given != SILENCE:
                    connection.sendall(given)
                    if b"Connection: close" in given or isinstance(given, Last):
                        return


def _read(incoming: Any, number: int) -> Asked | None:
    try:
        if not incoming.readline():
            return None
        headers = {}
        while line := incoming.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Asked(number, headers, incoming.read(int(headers.get("content-length", 0))))
    except OSError:
        return None
