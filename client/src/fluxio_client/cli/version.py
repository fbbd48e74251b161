"""Which version of fluxio this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def client_version() -> str:
    """The installed version of fluxio-client; "unknown" where it is not installed, only on the path."""
    try:
        return version("fluxio-client")
    except PackageNotFoundError:
        return "unknown"
