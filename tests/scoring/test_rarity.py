from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.scoring.rarity import ClassCount, fewer_than, tail

LABELS = ["car"] * 60 + ["dog"] * 30 + ["axe"] * 5 + ["bun"] * 5 + [None] * 7
NAMES = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), max_size=60)


def count(labels: Iterable[str | None]) -> tuple[ClassCount, ...]:
    counts = Counter(label for label in labels if label is not None)
    return tuple(ClassCount(name, instances) for name, instances in counts.items())


def names(counts: tuple[ClassCount, ...]) -> list[str]:
    return [count.name for count in counts]


def test_rare_classes_have_fewer_instances_than_the_number_not_as_many() -> None:
    counts = count(LABELS)
    assert names(fewer_than(counts, 30)) == ["axe", "bun"]
    assert names(fewer_than(counts, 31)) == ["axe", "bun", "dog"]
    assert names(fewer_than(counts, 1)) == []


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (0, []),
        (4.9, []),
        (5, ["axe"]),
        (10, ["axe", "bun"]),
        (39.9, ["axe", "bun"]),
        (40, ["axe", "bun", "dog"]),
        (100, ["axe", "bun", "dog", "car"]),
    ],
)
def test_the_tail_is_as_long_as_its_share_of_the_instances_allows(
    percent: float, expected: list[str]
) -> None:
    assert names(tail(count(LABELS), percent)) == expected


def test_a_share_that_is_a_whole_number_of_instances_is_not_lost_to_rounding() -> None:
    assert names(tail(count(["a"] * 3 + ["b"] * 27), 10)) == ["a"]


@given(labels=NAMES, percent=st.floats(0, 100))
@settings(deadline=None)  # busy machines
def test_the_tail_holds_at_most_its_share_and_one_class_more_would_go_over(
    labels: list[str | None], percent: float
) -> None:
    counts = count(labels)
    chosen = tail(counts, percent)
    total = sum(count.instances for count in counts)
    held = sum(count.instances for count in chosen)
    assert total == sum(label is not None for label in labels)
    assert 100 * held <= percent * total
    left = [count.instances for count in counts if count not in chosen]
    assert all(count.instances <= min(left, default=61) for count in chosen)
    assert not left or 100 * (held + min(left)) > percent * total


@given(labels=NAMES, percent=st.floats(0, 100), seed=st.randoms())
@settings(deadline=None)  # busy machines
def test_the_order_of_the_counts_does_not_matter(
    labels: list[str | None], percent: float, seed: Random
) -> None:
    counts = list(count(labels))
    chosen = tail(counts, percent)
    seed.shuffle(counts)
    assert tail(counts, percent) == chosen


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_a_share_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 100"):
        tail(count(LABELS), percent)


def test_fewer_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        fewer_than(count(LABELS), 0)
