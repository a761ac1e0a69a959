from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.scoring.rarity import ClassCount, count_classes, fewer_than, tail

LABELS = ["car"] * 60 + ["dog"] * 30 + ["axe"] * 5 + ["bun"] * 5 + [None] * 7
NAMES = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), max_size=60)


def names(counts: tuple[ClassCount, ...]) -> list[str]:
    return [count.name for count in counts]


def test_classes_are_counted_with_the_most_frequent_first_and_ties_by_name() -> None:
    assert count_classes(LABELS) == (
        ClassCount("car", 60),
        ClassCount("dog", 30),
        ClassCount("axe", 5),
        ClassCount("bun", 5),
    )


def test_rare_classes_have_fewer_instances_than_the_number_not_as_many() -> None:
    counts = count_classes(LABELS)
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
    assert names(tail(count_classes(LABELS), percent)) == expected


def test_a_share_that_is_a_whole_number_of_instances_is_not_lost_to_rounding() -> None:
    assert names(tail(count_classes(["a"] * 3 + ["b"] * 27), 10)) == ["a"]


@given(labels=NAMES, percent=st.floats(0, 100))
@settings(deadline=None)  # busy machines
def test_the_tail_holds_at_most_its_share_and_one_class_more_would_go_over(
    labels: list[str | None], percent: float
) -> None:
    counts = count_classes(labels)
    chosen = tail(counts, percent)
    total = sum(count.instances for count in counts)
    held = sum(count.instances for count in chosen)
    assert total == sum(label is not None for label in labels)
    assert 100 * held <= percent * total
    left = [count.instances for count in counts if count not in chosen]
    assert all(count.instances <= min(left, default=61) for count in chosen)
    assert not left or 100 * (held + min(left)) > percent * total


@given(labels=st.lists(st.sampled_from("abcdefgh"), max_size=60), seed=st.randoms())
@settings(deadline=None)  # busy machines
def test_the_order_of_the_instances_does_not_matter(labels: list[str], seed: object) -> None:
    shuffled = list(labels)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert count_classes(shuffled) == count_classes(labels)


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_a_share_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 100"):
        tail(count_classes(LABELS), percent)


def test_fewer_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        fewer_than(count_classes(LABELS), 0)
