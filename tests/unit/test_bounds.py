"""The table of the inputs' bounds is whole: none that is validated is left out."""

from __future__ import annotations

from pathlib import Path

from tests.emulator import bounds

THERE = bounds.Existing(
    package=Path("p.zip"),
    package_s3={},
    layer_zip=Path("l.zip"),
    layer_s3={},
    layer_arn="",
    key_arn="",
    subnet_ids=[],
    security_group_ids=[],
    table={},
    queue={},
    dlq={},
    role="r",
    role_arn="",
    function="f",
    event_bus="",
    topic="",
)
VARIABLES = bounds.VARIABLES.read_text(encoding="utf-8")


def test_every_input_that_is_validated_is_tried_at_its_bounds() -> None:
    tried = {name for module in bounds.root(THERE)["module"].values() for name in module}
    assert bounds.validated(VARIABLES) - tried == set()


def test_bounds_are_read_from_the_validations() -> None:
    read = bounds.read_bounds(VARIABLES)
    assert read["memory_size"] == [128, 10240]
    assert read["retention_days"] == [1, 3650]
    assert read["log_retention_days"] == [0, 1, 3653]
    assert read["architecture"] == ["x86_64", "arm64"]


def test_every_value_of_an_enumeration_and_both_ends_of_a_range_are_set_somewhere() -> None:
    modules = bounds.root(THERE)["module"].values()
    for name, wanted in bounds.read_bounds(VARIABLES).items():
        if name not in bounds.values(THERE):
            assert {module.get(name) for module in modules} >= set(wanted), name
