"""Modules that stood in fluxio_client before are found there, and are the very ones of fluxio_protocol."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from fluxio_client.moved import MOVED


@pytest.mark.parametrize("name", MOVED)
def test_a_module_is_found_under_its_name_of_before(name: str) -> None:
    there = import_module(f"fluxio_protocol.{MOVED[name]}")
    assert import_module(f"fluxio_client.{name}") is there
    assert there.__spec__ is not None
    assert there.__spec__.name == there.__name__ == f"fluxio_protocol.{MOVED[name]}"


def test_no_other_name_is_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"fluxio_client\.nothing"):
        import_module("fluxio_client.nothing")


def test_nothing_of_it_is_loaded_before_it_is_asked_for() -> None:
    code = "import sys, fluxio_client; print('fluxio_protocol.store' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
