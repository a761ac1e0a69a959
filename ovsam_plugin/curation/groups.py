"""The groups among a run's unknown instances: how large each is, and what it may be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import fiftyone as fo

from ovsam_plugin.counting import counted
from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.store import Store
from ovsam_plugin.dataset.targets import Samples, root_dataset

_EXAMPLES = 6
_TOLD = 20


@dataclass(frozen=True)
class Group:
    """One kind of thing that no class of the vocabulary explains.

    Attributes:
        number: 1 for the group that was the largest when the run was scored.
        size: its undecided instances.
        names: words that lie nearest to it, the nearest first; none where they are not kept.
        examples: (sample id, label id) of a few, the most surely unknown first.
    """

    number: int
    size: int
    names: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        told = f"{self.number}: {counted(self.size, 'instance')}"
        return f"{told}, like {', '.join(self.names)}" if self.names else told


def unknown_groups(samples: Samples, field: str, *, most: int | None = None) -> list[Group]:
    """The groups that have undecided instances in these samples, the largest first.

    Args:
        samples: a dataset or view.
        field: a field of Detections; one that was never scored has no groups.
        most: how many groups at most.

    Raises:
        ValueError: there is no such field, or it holds no detections.
    """
    samples = own_detections(samples, field)
    dataset = root_dataset(samples)
    if dataset.get_field(f"{field}.detections.group") is None:
        return []
    labels = f"{field}.detections"
    needed = ("_id", "label", "review", "group", "unknown")
    place = {"unknown": f"${labels}.unknown", "label": f"${labels}._id", "sample": "$_id"}
    rows = aggregate(
        samples,
        [
            {"$match": {f"{labels}.group": {"$type": "number"}}},
            {"$project": {f"{labels}.{name}": True for name in needed}},
            {"$unwind": f"${labels}"},
            {
                "$match": {
                    f"{labels}.group": {"$type": "number"},
                    f"{labels}.review": None,
                    f"{labels}.label": {"$ne": None},
                }
            },
            {
                "$group": {
                    "_id": f"${labels}.group",
                    "size": {"$sum": 1},
                    "members": {"$push": place},
                }
            },
            {"$sort": {"size": -1, "_id": 1}},
            *([{"$limit": most}] if most else []),
        ],
    )
    found = list(rows)
    names = dict(_store(dataset, field).items(str(int(row["_id"])) for row in found))
    return [
        Group(
            number=int(row["_id"]),
            size=int(row["size"]),
            names=tuple(names.get(str(int(row["_id"])), ())),
            examples=tuple(
                (str(member["sample"]), str(member["label"]))
                for member in sorted(row["members"], key=lambda m: -(m.get("unknown") or 0.0))
            )[:_EXAMPLES],
        )
        for row in found
    ]


def no_such_group(number: int | None, known: Sequence[Group]) -> str:
    """What a person is told who asks for a group that these samples do not have."""
    there = ", ".join(str(number) for number in sorted(group.number for group in known)[:_TOLD])
    more = ", ..." if len(known) > _TOLD else ""
    choose = f"choose one of {there}{more}" if known else "these samples have none"
    return f"there is no group {number} of unknown instances: {choose}"


def keep_names(dataset: fo.Dataset, field: str, names: Mapping[int, Sequence[str]]) -> None:
    """Keeps the nearest words of each group, as a scoring found them, in place of earlier ones."""
    store = _store(dataset, field)
    store.clear()
    for number, words in names.items():
        store.put(str(number), list(words))


def forget_names(dataset: fo.Dataset, field: str) -> None:
    """Removes what was kept, with the run."""
    _store(dataset, field).clear()


def _store(dataset: fo.Dataset, field: str) -> Store:
    return Store(dataset, f"ovsam_groups_{field}")
