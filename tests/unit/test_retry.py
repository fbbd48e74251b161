"""When a failed attempt comes back."""

from __future__ import annotations

import builtins
from datetime import timedelta
from typing import Any

import pytest

from fluxio import Retry
from fluxio.errors import DefinitionError

#: Python's own groups, or before 3.11 those of the package that pytest brings.
GROUPS: Any = (
    builtins if hasattr(builtins, "BaseExceptionGroup") else pytest.importorskip("exceptiongroup")
)


def test_waits_grow_by_the_backoff_up_to_the_maximum() -> None:
    retry = Retry(9, initial=1, backoff=2, maximum=10, jitter=0)
    assert [retry.delay(attempt, 0.7) for attempt in range(1, 7)] == [
        1_000,
        2_000,
        4_000,
        8_000,
        10_000,
        10_000,
    ]


def test_jitter_takes_its_share_off_a_wait() -> None:
    retry = Retry(initial=10, jitter=0.5)
    assert (retry.delay(1, 0), retry.delay(1, 0.5), retry.delay(1, 1)) == (10_000, 7_500, 5_000)


def test_a_wait_is_never_negative_and_never_beyond_the_maximum() -> None:
    retry = Retry(100, initial=86_400, backoff=10, maximum=86_400, jitter=1)
    for attempt in (1, 2, 50, 100, 10**6):
        for chance in (0, 0.5, 1):
            assert 0 <= retry.delay(attempt, chance) <= 86_400_000


def test_every_exception_is_retried_unless_it_is_said_otherwise() -> None:
    assert Retry().allows(KeyError())
    assert Retry(retry_on=(LookupError,)).allows(KeyError())
    assert not Retry(retry_on=(LookupError,)).allows(ValueError())
    assert not Retry(retry_on=(LookupError,), give_up_on=(KeyError,)).allows(KeyError())
    assert Retry(retry_on=(LookupError,), give_up_on=(KeyError,)).allows(IndexError())


@pytest.mark.parametrize(
    ("of", "is_retried"),
    [
        ([ConnectionError()], True),
        ([ConnectionError(), BrokenPipeError()], True),
        ([ConnectionError(), ValueError()], False),
        ([ConnectionError(), ConnectionResetError()], False),
        ([GROUPS.ExceptionGroup("inner", [ConnectionError()])], True),
        ([GROUPS.ExceptionGroup("inner", [ConnectionError(), ConnectionResetError()])], False),
    ],
)
def test_a_group_is_retried_if_all_in_it_are_and_given_up_if_one_is(
    of: list[Exception], is_retried: bool
) -> None:
    retry = Retry(retry_on=(ConnectionError,), give_up_on=(ConnectionResetError,))
    assert retry.allows(GROUPS.ExceptionGroup("some", of)) is is_retried


def test_a_group_may_be_named_by_its_own_type() -> None:
    group = GROUPS.ExceptionGroup("some", [KeyError()])
    assert Retry(retry_on=(GROUPS.ExceptionGroup,)).allows(group)
    assert not Retry(give_up_on=(GROUPS.BaseExceptionGroup,)).allows(group)


def test_a_group_that_lies_about_what_it_holds_is_judged_by_what_it_was_made_with() -> None:
    class Lying(GROUPS.ExceptionGroup):  # type: ignore[misc]
        @property
        def exceptions(self) -> tuple[Exception, ...]:
            raise RuntimeError

    assert not Retry(give_up_on=(KeyError,)).allows(Lying("some", [KeyError()]))


def test_what_is_no_exception_of_pythons_is_retried_unless_it_is_said_otherwise() -> None:
    assert Retry().allows(KeyboardInterrupt())
    assert not Retry(retry_on=(Exception,)).allows(KeyboardInterrupt())


def test_a_type_that_lies_about_its_instances_is_told_as_by_an_except_clause() -> None:
    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            raise RuntimeError

        def __subclasscheck__(cls, other: type) -> bool:
            raise RuntimeError

    class Lying(Exception, metaclass=Meta):
        pass

    assert not Retry(retry_on=(Lying,)).allows(KeyError())
    assert Retry(retry_on=(Lying,)).allows(Lying())


def test_a_single_type_may_stand_for_a_tuple() -> None:
    assert Retry(retry_on=KeyError, give_up_on=OSError) == Retry(  # type: ignore[arg-type]
        retry_on=(KeyError,), give_up_on=(OSError,)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max": -1}, r"Retry\(max=-1\): use a whole number from 0 to 100"),
        ({"max": 101}, r"Retry\(max=101\)"),
        ({"max": True}, r"Retry\(max=True\)"),
        ({"max": 1.0}, r"Retry\(max=1\.0\)"),
        ({"initial": -1}, r"Retry: initial is -1; pass seconds 0 to 86,400, or a timedelta"),
        ({"initial": "1"}, r"Retry: initial is '1'"),
        ({"initial": True}, r"Retry: initial is True"),
        ({"initial": timedelta(days=2)}, r"Retry: initial is datetime.timedelta\(days=2\)"),
        ({"backoff": 0.5}, r"Retry\(backoff=0\.5\): use a number from 1 to 10"),
        ({"maximum": 86_401}, r"Retry: maximum is 86401"),
        ({"maximum": float("nan")}, r"Retry: maximum is nan"),
        ({"jitter": 1.1}, r"Retry\(jitter=1\.1\): use a number from 0 to 1"),
        ({"jitter": float("nan")}, r"Retry\(jitter=nan\)"),
        ({"retry_on": ("KeyError",)}, r"Retry\(retry_on=…\) takes exception types"),
        ({"give_up_on": (int,)}, r"Retry\(give_up_on=…\) takes exception types"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_bounds(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        Retry(**arguments)
