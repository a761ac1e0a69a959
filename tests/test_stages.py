from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ovsam_plugin.stages import Stages, within


def counted(taken: list[int]) -> Iterator[int]:
    """A hundred things, each noted when it is taken."""
    for value in range(100):
        taken.append(value)
        yield value


def test_things_come_out_in_order_and_stages_overlap() -> None:
    here: list[int] = []

    def slow(value: int) -> int:
        here.append(threading.get_ident())
        time.sleep(0.05)
        return value + 1

    started = time.monotonic()
    with Stages(iter(range(8)), (slow, slow, slow)) as out:
        assert list(out) == [value + 3 for value in range(8)]
    # One after the other they take 1.2 s.
    assert time.monotonic() - started < 0.9
    assert len(set(here)) == 3
    assert threading.get_ident() not in here


def test_things_abreast_come_out_in_order_however_long_each_takes() -> None:
    here: set[int] = set()
    begun: list[int] = []

    def work(value: int) -> int:
        here.add(threading.get_ident())
        time.sleep(0.1 if value % 3 == 0 else 0.02)
        return value

    started = time.monotonic()
    begin = lambda: begun.append(threading.get_ident())  # noqa: E731
    with Stages(iter(range(12)), (work, work), abreast=3, begin=begin) as out:
        assert list(out) == list(range(12))
    # One after the other a stage takes 0.56 s.
    assert time.monotonic() - started < 0.45
    assert len(here) > 2
    assert here <= set(begun)
    assert len(begun) == 6


def test_of_things_abreast_no_more_are_taken_than_are_worked_on_and_wait() -> None:
    taken: list[int] = []
    with Stages(counted(taken), (lambda value: value,), abreast=3) as out:
        next(iter(out))
        time.sleep(0.5)
        # As for one, and two more on the way.
        assert len(taken) <= 10


def test_leaving_does_not_wait_for_what_was_not_begun() -> None:
    done: list[int] = []

    def work(value: int) -> int:
        time.sleep(0.1)
        done.append(value)
        return value

    before = threading.active_count()
    with Stages(iter(range(100)), (work,), abreast=2) as out:
        next(iter(out))
    assert len(done) <= 6
    assert threading.active_count() == before


def test_a_slow_end_holds_the_beginning_back() -> None:
    taken: list[int] = []
    with Stages(counted(taken), (lambda value: value,), room=1) as out:
        ahead = iter(out)
        next(ahead)
        time.sleep(0.5)
        # One that was taken out, one waiting in each queue and one in each thread's hands.
        assert len(taken) <= 6


@pytest.mark.parametrize("abreast", [1, 2])
@pytest.mark.parametrize("place", ["source", "first", "last"])
def test_an_error_comes_out_after_what_was_before_it(place: str, abreast: int) -> None:
    def source() -> Iterator[int]:
        yield 0
        yield 1
        if place == "source":
            raise ValueError("two is too many")
        yield 2

    def check(name: str, value: int) -> int:
        if value == 2 and place == name:
            raise ValueError("two is too many")
        return value

    stages = [lambda value, name=name: check(name, value) for name in ("first", "last")]
    got: list[int] = []
    with (
        Stages(source(), stages, abreast=abreast) as out,
        pytest.raises(ValueError, match="two is too many"),
    ):
        got.extend(out)  # keeps what came before the error
    assert got == [0, 1]


def test_leaving_ends_all_threads() -> None:
    before = threading.active_count()
    with Stages(iter(range(1000)), (lambda value: value,)) as out:
        next(iter(out))
    assert threading.active_count() == before


def test_work_that_hangs_is_left_to_itself() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"0\.1 seconds"):
        within(0.1, never.wait)
    never.set()
    assert within(5, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(5, lambda: {}["what"])
