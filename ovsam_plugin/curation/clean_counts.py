"""What an export of reviewed instances would hold, counted in the database for its form."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import fiftyone as fo
from bson import ObjectId

from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.decision import ACCEPTED, KINDS, REJECTED, RENAMED
from ovsam_plugin.curation.decisions import Progress
from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset


@dataclass(frozen=True)
class CleanCounts:
    """What an export would hold.

    Attributes:
        images, instances: in the export, but for instances that turn out to have no mask.
        open: instances on these images that are not in it, being undecided or nameless.
        half_reviewed: images that are left out, since they have open instances.
        progress: decided and open instances of all images, as `decisions.progress` counts them.
    """

    images: int = 0
    instances: int = 0
    open: int = 0
    half_reviewed: int = 0
    progress: Progress = field(default_factory=Progress)


def count_clean(
    samples: Samples,
    field: str,
    *,
    undecided_above: float | None = None,
    only_finished: bool = True,
) -> CleanCounts:
    """Counts what `export_clean` would write; no mask and no image is read.

    Args, Raises: see `clean_export.export_clean`.
    """
    whole = isinstance(samples, fo.Dataset)
    samples = own_detections(samples, field)
    shown = _kinds(samples, field, undecided_above)
    # What a view hides of an image's labels is not exported, and open all the same.
    every = shown
    if not whole:
        every = _kinds(all_images(root_dataset(samples)), field, undecided_above)
    images = instances = still_open = half = 0
    reviews: Counter[str] = Counter()
    for owner, kinds in shown.items():
        taken, decided = kinds["taken"], sum(kinds[kind] for kind in KINDS)
        reviews.update({kind: kinds[kind] for kind in (*KINDS, "named")})
        if not taken and not decided:
            continue
        left = every[owner]["open"]
        if only_finished and left:
            half += 1
            continue
        images += 1
        instances += taken
        still_open += left
    done = {kind: reviews[kind] for kind in KINDS}
    told = Progress(**done, open=reviews["named"])
    return CleanCounts(images, instances, still_open, half, told)


def _kinds(
    samples: Samples, field: str, undecided_above: float | None
) -> dict[ObjectId, Counter[str]]:
    """By image, how many of its labels are accepted, renamed, rejected, undecided with a name
    ("named"), in the export ("taken") and not decided enough to be ("open")."""
    labels = f"{field}.detections"
    sure: object = {"$literal": False}
    if undecided_above is not None:
        sure = {"$gte": ["$confidence", undecided_above]}
    rows = aggregate(
        samples,
        [
            {"$project": {f"{labels}.{name}": True for name in ("label", "review", "confidence")}},
            {"$unwind": f"${labels}"},
            {
                "$project": {
                    "review": f"${labels}.review",
                    "named": {"$gt": [f"${labels}.label", ""]},
                    "confidence": f"${labels}.confidence",
                }
            },
            {
                "$group": {
                    "_id": {"image": "$_id", "review": "$review", "named": "$named", "sure": sure},
                    "count": {"$sum": 1},
                }
            },
        ],
    )
    found: defaultdict[ObjectId, Counter[str]] = defaultdict(Counter)
    for row in rows:
        key, count = row["_id"], row["count"]
        review, kinds = key.get("review"), found[key["image"]]
        if review in KINDS:
            kinds[review] += count
        elif key["named"]:
            kinds["named"] += count
        if review != REJECTED:
            taken = key["named"] and (review in (ACCEPTED, RENAMED) or key["sure"])
            kinds["taken" if taken else "open"] += count
    return found
