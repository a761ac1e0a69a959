"""Which classes are rare among the instances at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassCount:
    """A class and how many instances it has, at least one."""

    name: str
    instances: int


def fewer_than(counts: Sequence[ClassCount], instances: int) -> tuple[ClassCount, ...]:
    """The classes with fewer than so many instances, the rarest first.

    Raises:
        ValueError: the number is below 1.
    """
    if instances < 1:
        raise ValueError(f"no class has fewer than {instances} instances: give 1 or more")
    return tuple(count for count in _rarest_first(counts) if count.instances < instances)


def tail(counts: Sequence[ClassCount], percent: float) -> tuple[ClassCount, ...]:
    """The most classes, taken from the rarest on, that together hold at most this share.

    At most, so that the tail never reaches into a class that alone holds more than all the rare
    ones. A class that would go over ends the tail; equally rare classes are taken by name.

    Args:
        counts: of the classes present, in any order.
        percent: of all instances, 0 to 100.

    Returns:
        The rarest first.

    Raises:
        ValueError: the percentage is outside 0..100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"the share of the tail is {percent} %: allowed is 0 to 100")
    # Compared as instances x 100, so that 10 % of 30 instances is 3 of them and not 2.9999.
    room = percent * sum(count.instances for count in counts)
    chosen, held = [], 0
    for count in _rarest_first(counts):
        held += count.instances
        if 100 * held > room:
            break
        chosen.append(count)
    return tuple(chosen)


def _rarest_first(counts: Sequence[ClassCount]) -> list[ClassCount]:
    return sorted(counts, key=lambda count: (count.instances, count.name))
