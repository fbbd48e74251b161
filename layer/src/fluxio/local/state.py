"""The state of `fluxio dev` in one SQLite file.

The stand-in keeps its items and messages in memory; here each of its writes is put down as one SQLite
transaction, before the write is answered. In write-ahead mode a transaction that is committed has been handed
to the operating system, so that it outlives the process, however that ends
(https://www.sqlite.org/wal.html). What a crash of the machine itself would lose is what the system had not
written to the disk yet, and never a part of a transaction.

What stands in the file is what a new process is to find: a message that was being handled is visible, since
nothing handles it any more.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fluxio_protocol.errors import SettingError

#: The form of the file; one of another form is not read.
FORM = 2

_TABLES = """
CREATE TABLE items (table_name TEXT, key TEXT, item TEXT, PRIMARY KEY (table_name, key));
CREATE TABLE messages (
    position INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, message_id TEXT, content TEXT,
    UNIQUE (queue, message_id)
);
CREATE TABLE deduplication (
    queue TEXT, group_id TEXT, deduplication_id TEXT, at INTEGER, message_id TEXT,
    PRIMARY KEY (queue, group_id, deduplication_id)
);
CREATE TABLE client_tokens (token TEXT PRIMARY KEY, at INTEGER);
CREATE TABLE facts (name TEXT PRIMARY KEY, content TEXT);
"""

Statement = tuple[str, tuple[Any, ...]]


class StateError(SettingError):
    """The file cannot be used."""


class State:
    """The file, held by this process alone.

    Args:
        path: where it is, or will be: readable by its owner only.

    Raises:
        StateError: it cannot be opened, another process has it, or it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            _make_private(path)
            # Each call of the stand-in is made under a lock, so the threads do not meet here.
            self._file = sqlite3.connect(
                path, timeout=1, isolation_level=None, check_same_thread=False
            )
            self._file.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("BEGIN EXCLUSIVE")
            (form,) = self._file.execute("PRAGMA user_version").fetchone()
            if not form:
                for statement in _TABLES.split(";"):
                    self._file.execute(statement)
                self._file.execute(f"PRAGMA user_version={FORM}")
                self._file.execute(
                    "INSERT INTO facts VALUES ('access_key', ?)",
                    (f"fluxio-dev-{secrets.token_hex(12)}",),
                )
            self._file.execute("COMMIT")
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error.strerror or error}.") from None
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise StateError(
                    f"another `fluxio dev` is running on {path}. End it, or name another file with --state."
                ) from None
            raise StateError(
                f"{path} is not a state of `fluxio dev` ({error}). Move it away, name another with --state, "
                "or say --reset to begin with an empty one."
            ) from None
        if form not in (0, FORM):
            raise StateError(
                f"{path} was written by another version of fluxio (form {form}, and this one reads {FORM}). "
                "Say --reset to begin with an empty one."
            )

    @property
    def access_key(self) -> str:
        """The access key that callers must have: made up with the file, and as private as that."""
        (found,) = self._file.execute(
            "SELECT content FROM facts WHERE name = 'access_key'"
        ).fetchone()
        return str(found)

    def commit(self, statements: list[Statement]) -> None:
        """Put down what one write has changed: all of it, or nothing.

        Raises:
            sqlite3.Error: it could not be written.
        """
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in statements:
                self._file.execute(statement, values)
            self._file.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._file.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._file.close()

    # --- what is there

    def items(self, table: str) -> Iterator[dict[str, Any]]:
        for (item,) in self._file.execute("SELECT item FROM items WHERE table_name = ?", (table,)):
            yield json.loads(item)

    def messages(self, queue: str) -> Iterator[dict[str, Any]]:
        """The messages of a queue, the first first."""
        found = self._file.execute(
            "SELECT content FROM messages WHERE queue = ? ORDER BY position", (queue,)
        )
        for (content,) in found:
            yield json.loads(content)

    def deduplication(self, queue: str) -> Iterator[tuple[str, str, int, str]]:
        yield from self._file.execute(
            "SELECT group_id, deduplication_id, at, message_id FROM deduplication WHERE queue = ?",
            (queue,),
        )

    def client_tokens(self) -> Iterator[tuple[str, int]]:
        yield from self._file.execute("SELECT token, at FROM client_tokens")


# --- statements of changes


def item_changed(table: str, key: Sequence[str], item: dict[str, Any] | None) -> Statement:
    if item is None:
        return "DELETE FROM items WHERE table_name = ? AND key = ?", (table, to_json(key))
    return "INSERT OR REPLACE INTO items VALUES (?, ?, ?)", (table, to_json(key), to_json(item))


def message_changed(queue: str, message_id: str, content: dict[str, Any] | None) -> Statement:
    if content is None:
        return "DELETE FROM messages WHERE queue = ? AND message_id = ?", (queue, message_id)
    # One that changes keeps its place in the queue.
    insert = (
        "INSERT INTO messages (queue, message_id, content) VALUES (?, ?, ?) "
        "ON CONFLICT (queue, message_id) DO UPDATE SET content = excluded.content"
    )
    return insert, (queue, message_id, to_json(content))


def message_sent(
    queue: str, group: str, deduplication_id: str, at: int, message_id: str
) -> Statement:
    return (
        "INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?)",
        (queue, group, deduplication_id, at, message_id),
    )


def token_used(token: str, at: int) -> Statement:
    return "INSERT OR REPLACE INTO client_tokens VALUES (?, ?)", (token, at)


def forgotten(before: int) -> list[Statement]:
    """What the services themselves would have forgotten: deduplication and tokens from before a time."""
    return [
        ("DELETE FROM deduplication WHERE at < ?", (before,)),
        ("DELETE FROM client_tokens WHERE at < ?", (before,)),
    ]


def to_json(value: Any) -> str:
    """JSON as the services' protocols have it: bytes are base64."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_bytes)


def _bytes(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} is no value of DynamoDB's")


def _make_private(path: Path) -> None:
    """Make the file, and its folder, so that nobody but the owner reads them."""
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
        # A folder of this command's own is not to be committed by mistake.
        if path.parent.name == ".fluxio":
            (path.parent / ".gitignore").write_text("*\n")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
    path.chmod(0o600)


def remove(path: Path) -> None:
    """Begin anew: take away the file, and what SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        (path.parent / name).unlink(missing_ok=True)
