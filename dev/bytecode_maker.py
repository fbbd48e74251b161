"""Compiles modules for the layer. Each Python that the layer is for runs it, with nothing but itself.

Modules on stdin, bytecode on stdout: `{path in the zip: content}` in marshal's format.
"""

from __future__ import annotations

import marshal
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from types import CodeType
from typing import Any

UNCHECKED = (1).to_bytes(4, "little")
"""Loaded without a look at the source: https://peps.python.org/pep-0552/"""

FIELDS = (
    *("co_cellvars", "co_consts", "co_filename", "co_freevars"),
    *("co_name", "co_names", "co_qualname", "co_varnames"),
)
"""What holds strings or other code. `co_qualname` is there from Python 3.11 on."""


class Unstable(Exception):
    """No two runs need give the same bytes."""


def compiled(modules: dict[str, bytes]) -> dict[str, bytes]:
    """The modules' bytecode, by the path at which Python looks for it."""
    found = {}
    for name, source in modules.items():
        # Layers are unpacked in /opt: what stands here is what a traceback of the function shows.
        code = compile(source, f"/opt/{name}", "exec", dont_inherit=True)
        try:
            body = marshal.dumps(canonical(code))
        except Unstable:
            continue
        found[cache_from_source(name)] = MAGIC_NUMBER + UNCHECKED + source_hash(source) + body
    return found


def canonical(value: Any) -> Any:
    """The same constant or code, so that what marshal writes depends on nothing else in this process.

    marshal marks an object to which there is more than one reference, wherever that is held, and refers back to
    one that it has written before. So equal strings are one object here, to which the original refers as well.

    Raises:
        Unstable: it holds a set that is written in the order of addresses.
    """
    if isinstance(value, CodeType):
        fields = {name: canonical(getattr(value, name)) for name in FIELDS if hasattr(value, name)}
        return value.replace(**fields)
    if isinstance(value, tuple):
        return tuple(canonical(part) for part in value)
    if isinstance(value, frozenset):
        # Python 3.11 began to write sets in order. Before, the order is that of the parts' hashes, which are
        # the same in each process (PYTHONHASHSEED) but for None: its hash is its address.
        if sys.version_info < (3, 11) and None in value:
            raise Unstable
        return frozenset(canonical(part) for part in sorted(value, key=repr))
    if isinstance(value, str):
        return sys.intern(value)
    return value


if __name__ == "__main__":
    sys.stdout.buffer.write(marshal.dumps(compiled(marshal.loads(sys.stdin.buffer.read()))))
