"""One request and its answer over a connection that botocore's HTTP session has open already.

The session opens connections, with its TLS, proxies and timeouts, and keeps them. What is sent over one here
goes in one piece, and an answer of the usual form (HTTP/1.1, with a length) is read without the machinery for
all others. An unusual one is `http.client`'s to read. A connection on which anything went wrong is closed.
"""

from __future__ import annotations

import io
import queue
import socket
import ssl
import weakref
from collections.abc import Iterator, Mapping
from http.client import BadStatusLine, HTTPException, HTTPResponse
from typing import Any, NamedTuple

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError, SSLError
from urllib3.util.connection import is_connection_dropped

_CHUNK = 65_536
_FIRST = b"HTTP/"


class Request(NamedTuple):
    """A signed POST to the root of a host."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    #: All of it, as it is sent.
    sent: bytes

    @classmethod
    def make(cls, url: str, host: str, headers: Mapping[str, str], body: bytes) -> Request:
        """The request.

        Raises:
            ValueError: a header has a line break in it.
        """
        lines = [f"{name}: {value}" for name, value in headers.items()]
        first = ("POST / HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity")
        head = "\r\n".join((*first, *lines, "", ""))
        if not head.count("\n") == head.count("\r") == len(lines) + 4:
            raise ValueError("a header has a line break in it")
        return cls(url, headers, body, head.encode() + body)

    def of_botocore(self) -> AWSPreparedRequest:
        return AWSPreparedRequest("POST", self.url, dict(self.headers), self.body, False)


class Answer(NamedTuple):
    """What came back; header names are in lower case."""

    url: str
    status_code: int
    headers: Mapping[str, str]
    content: bytes

    def of_botocore(self) -> AWSResponse:
        return AWSResponse(self.url, self.status_code, self.headers, _Read(self.content))


class _Read:
    """A body that has been read, as botocore reads one."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


class Exchange:
    """Sends requests by a session of botocore's.

    Args:
        session: the session.
        read_timeout: seconds to wait for each part of an answer.

    Raises:
        AttributeError: the session is made otherwise.
    """

    def __init__(self, session: Any, read_timeout: float) -> None:
        self._session = session
        self._read_timeout = read_timeout
        self._pool_of = session._manager.connection_from_url
        #: By URL; the session lets its pools go when it is closed.
        self._pools: dict[str, weakref.ref[Any]] = {}

    def send(self, request: Request) -> Answer:
        """The answer to a request.

        Raises:
            HTTPClientError: of the kind that botocore's session raises.
        """
        kept_pool = self._pools.get(request.url)
        pool = kept_pool() if kept_pool else None
        if pool is None or pool.pool is None:
            pool = self._pool_of(request.url)
            self._pools[request.url] = weakref.ref(pool)
        connection = _idle(pool)
        if connection is None:
            found = self._session.send(request.of_botocore())
            headers = {name.lower(): value for name, value in found.headers.items()}
            return Answer(request.url, found.status_code, headers, found.content)
        kept = False
        try:
            connection.sock.settimeout(self._read_timeout)
            connection.sock.sendall(request.sent)
            answer, kept = _read(connection.sock, request.url)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=request.url, error=error) from error
        except (OSError, HTTPException) as error:
            raise ConnectionClosedError(
                endpoint_url=request.url, error=error, request=request.of_botocore()
            ) from error
        finally:
            if not kept:
                connection.close()  # whatever comes by it yet belongs to no other request
            _put_back(pool, connection)
        return answer


def _idle(pool: Any) -> Any:
    """A connection of a pool that is open and at rest; None: there is none, or one of a kind unknown here."""
    try:
        connection = pool.pool.get(block=False)
    except queue.Empty:
        return None
    if connection is not None:
        known = type(connection.sock) in (socket.socket, ssl.SSLSocket)
        if known and not is_connection_dropped(connection):
            return connection
    _put_back(pool, connection)
    return None


def _put_back(pool: Any, connection: Any) -> None:
    try:
        pool.pool.put(connection, block=False)
    except (AttributeError, queue.Full):  # the session was closed meanwhile, or keeps others by now
        if connection is not None:
            connection.close()


def _read(sock: socket.socket, url: str) -> tuple[Answer, bool]:
    """An answer, and whether the connection can be used again."""
    received = sock.recv(_CHUNK)
    if not received.startswith(_FIRST[: len(received)]):
        raise BadStatusLine("no HTTP")
    while (end := received.find(b"\r\n\r\n")) < 0:
        more = sock.recv(_CHUNK)
        if not more:
            return _read_unusual(sock, url, received), False
        received += more
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if not name or name[0] in " \t":  # the line before goes on
            return _read_unusual(sock, url, received), False
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "")
    if (
        not first.startswith("HTTP/1.1 ")
        or not first[9:12].isdecimal()
        or not length.isdecimal()
        or "transfer-encoding" in headers
        or len(headers) != len(lines)  # one of them comes twice
    ):
        return _read_unusual(sock, url, received), False
    content = received[end + 4 :]
    if (left := int(length) - len(content)) > 0:
        parts = [content]
        while left > 0 and (more := sock.recv(_CHUNK)):
            parts.append(more)
            left -= len(more)
        content = b"".join(parts)
    kept = left == 0 and "close" not in headers.get("connection", "").lower()
    return Answer(url, int(first[9:12]), headers, content[: int(length)]), kept


def _read_unusual(sock: socket.socket, url: str, received: bytes) -> Answer:
    response = HTTPResponse(_Resumed(sock, received), method="POST")  # type: ignore[arg-type]
    response.begin()
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        name, value = name.lower(), " ".join(map(str.strip, value.splitlines()))
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(url, response.status, headers, response.read())


class _Resumed(io.RawIOBase):
    """A socket's file, of which some has been read."""

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        self._sock, self._received = sock, received

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._received:
            return self._sock.recv_into(buffer)
        size = min(len(buffer), len(self._received))
        buffer[:size] = self._received[:size]
        self._received = self._received[size:]
        return size
