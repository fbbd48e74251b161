"""What can be wrong with a test of a workflow."""

from __future__ import annotations

from fluxio_protocol.errors import FluxioError


class InvalidTest(FluxioError):
    """What a test asks for cannot be: an unknown step, a crash at a point that is never reached."""


class NeverEnds(FluxioError):
    """The run cannot end: what it waits for never comes."""


class NotCrashSafe(AssertionError):
    """A worker that dies, is cut off or is doubled at some point breaks what the test's check asks."""
