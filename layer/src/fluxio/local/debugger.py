"""`breakpoint()` in a step, while the rest of `fluxio dev` goes on."""

from __future__ import annotations

import os
import pdb
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any

from fluxio.local.clock import LocalClock


class Debuggers:
    """Python's own debugger, at one prompt at a time, with the clock stopped while it waits.

    Args:
        clock: stands still at a prompt, so that neither timeouts nor leases run out meanwhile.
        terminal: held at a prompt, so that nothing else writes between its lines.
    """

    def __init__(self, clock: LocalClock, terminal: AbstractContextManager[Any]) -> None:
        self._clock = clock
        self._terminal = terminal
        self._prompt = threading.RLock()
        #: Whether somebody sits at a prompt.
        self.waiting = False

    def install(self) -> None:
        """Be what `breakpoint()` and `pdb.set_trace()` call, unless PYTHONBREAKPOINT names another debugger."""
        if os.environ.get("PYTHONBREAKPOINT", "") in ("", "pdb.set_trace"):
            os.environ.pop("PYTHONBREAKPOINT", None)
            sys.breakpointhook = self.stop
        pdb.set_trace = self.stop

    def stop(self, *_: Any, header: str | None = None, **__: Any) -> None:
        """Stop the caller at its next line."""
        debuggers = self

        class Debugger(pdb.Pdb):
            def interaction(self, *at: Any, **more: Any) -> None:
                with debuggers._prompt, debuggers._terminal, debuggers._clock.stopped():
                    debuggers.waiting = True
                    try:
                        super().interaction(*at, **more)
                    finally:
                        debuggers.waiting = False

        # Ctrl-C ends `fluxio dev`, at a prompt and after it.
        debugger = Debugger(nosigint=True)
        if header is not None:
            debugger.message(header)
        debugger.set_trace(sys._getframe(1))
