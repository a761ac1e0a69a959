"""What has been reviewed, as clean ground truth: COCO, LVIS, or a FiftyOne dataset on disk."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

import fiftyone as fo

from ovsam_plugin.consent import OVERWRITE, ConsentError
from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.clean_files import CleanInstance, FiftyOneFolder, JsonFile
from ovsam_plugin.curation.decision import ACCEPTED, KINDS, REJECTED, RENAMED
from ovsam_plugin.dataset.edits import check_photograph
from ovsam_plugin.dataset.image_folder import image_folder
from ovsam_plugin.dataset.label_masks import crop_of, mask_of, reaches_over
from ovsam_plugin.dataset.provenance import Provenance
from ovsam_plugin.dataset.runs import recorded_vocabulary
from ovsam_plugin.dataset.sizes import size_of
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.renaming import renamed
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Format: TypeAlias = Literal["coco", "lvis", "fiftyone"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SAMPLES_A_QUERY = 10_000
_SHOWN = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CleanExport:
    """What was written.

    Attributes:
        path: the file or folder.
        images: how many, those in which every instance was rejected among them.
        instances: how many.
        categories: names of the classes that have instances, sorted.
        open: instances on these images that are not in the export, being undecided or nameless.
        half_reviewed: images that were left out, since they have open instances.
        left_out: why instances that should have been in it are not, a line each.
        cut: instances whose box reaches over their image's edge, where the mask was cut, a line
            each.
    """

    path: Path
    images: int
    instances: int
    categories: tuple[str, ...]
    open: int
    left_out: tuple[str, ...]
    cut: tuple[str, ...] = ()
    half_reviewed: int = 0


@renamed(field="pred_field")
def export_clean(
    samples: Samples,
    pred_field: str,
    path: str | Path,
    format: Format = "coco",
    *,
    undecided_above: float | None = None,
    only_finished: bool = True,
    vocabulary: str | Path | Vocabulary | None = None,
    overwrite: bool = False,
) -> CleanExport:
    """Writes accepted and renamed instances; rejected ones are left out.

    Masks are written exactly, as run lengths at their image's own size. Photographs are named from
    the folder of the whole dataset, whichever are exported. The extra key `provenance`
    of an annotation says what made it, and who decided and when. An image is in the export
    once something was decided on it, or one of its instances is taken undecided. In LVIS, classes
    of which an image has instances that are not in the file, being open, outside the view or
    without a mask, stand in its `not_exhaustive_category_ids`. A mask whose box somebody has
    resized is stretched over it, as the App draws it; one that reaches over the image's edge is cut
    there. An instance without a name is open until it has one or is rejected.

    Args:
        samples: the dataset, or a view of it.
        pred_field: a field of Detections.
        path: the JSON file; for "fiftyone" a folder.
        format: "coco", "lvis", or "fiftyone" (`fo.types.FiftyOneDataset`; images stay where they
            are, the labels are in `ground_truth`).
        undecided_above: also take undecided instances whose confidence is at least this, 0..1.
        only_finished: leave out images that still have open instances; they would look complete.
        vocabulary: gives category ids, synonyms and frequencies; by default the one that the
            field was labelled with. A synonym counts as its class; classes without an id, and
            names that it lacks, get ids after its largest.
        overwrite: replace what is at `path`; in a folder, the dataset's own files alone.

    Returns:
        what was written, and what was left out.

    Raises:
        ValueError: there is no such field or format, nothing would be in the export, a number is
            out of range, or something is at `path` already. Nothing is written then.
    """
    samples = own_detections(samples, pred_field)
    target = _target(path, format, overwrite)
    if undecided_above is not None and not 0 <= undecided_above <= 1:
        raise ValueError(f"undecided_above is {undecided_above}, must be 0 to 1")
    known = (
        recorded_vocabulary(root_dataset(samples), pred_field)
        if vocabulary is None
        else load_vocabulary(vocabulary)
    )
    if known is None and format != "fiftyone":
        logger.warning(
            "no run is recorded for field %r (renamed, or cloned from a view?): its categories are "
            "numbered from 1. vocabulary=... gives them the ids of a vocabulary",
            pred_field,
        )
    writer: JsonFile | FiftyOneFolder
    if format == "fiftyone":
        writer = FiftyOneFolder(target)
    else:
        folder, provenance = image_folder(samples), Provenance.of(samples, pred_field)
        writer = JsonFile(target, folder, known, provenance, lvis=format == "lvis")
    with closing(writer):
        tally = _Tally()
        for image in _clean(samples, pred_field, undecided_above):
            if only_finished and image.open:
                tally.half_reviewed += 1
            else:
                tally.add(image, writer)
        if not tally.images and tally.left_out:
            shown = "; ".join(tally.left_out[:_SHOWN])
            raise ValueError(f"nothing of {pred_field!r} can be written: {shown}")
        if tally.half_reviewed and not tally.images:
            raise ValueError(
                f"all {tally.half_reviewed} images of {pred_field!r} with decided instances also "
                "have undecided or nameless ones: finish one (name or reject what has no name), or "
                "pass only_finished=False"
            )
        if not tally.images:
            raise ValueError(
                f"no instance of {pred_field!r} is accepted or renamed: review some first, or "
                "include undecided ones with undecided_above"
            )
        writer.write()
    return CleanExport(
        path=target,
        images=tally.images,
        instances=sum(tally.instances.values()),
        categories=tuple(sorted(tally.instances)),
        open=tally.open,
        left_out=tuple(tally.left_out),
        cut=tuple(tally.cut),
        half_reviewed=tally.half_reviewed,
    )


@dataclass(frozen=True)
class _Image:
    """One image of the export: its clean labels, the names of those that are still open (None
    where there is none yet), and of clean ones that are not among the labels."""

    sample: fo.Sample
    labels: list[fo.Detection]
    open: list[str | None]
    missing: list[str]


@dataclass
class _Tally:
    """What went to the writer, and what did not."""

    images: int = 0
    open: int = 0
    half_reviewed: int = 0
    instances: Counter[str] = dataclass_field(default_factory=Counter)
    left_out: list[str] = dataclass_field(default_factory=list)
    cut: list[str] = dataclass_field(default_factory=list)

    def add(self, image: _Image, writer: JsonFile | FiftyOneFolder) -> None:
        size = size_of(image.sample)
        if size is None and writer.needs_masks:
            self.left_out.append(f"{image.sample.filepath}: the size of the image cannot be read")
            return
        if size is not None:
            try:
                check_photograph(image.labels, size)
            except ValueError as error:
                self.left_out.append(f"{image.sample.filepath}: {error}")
                return
        written, missing = [], list(image.missing)
        for label in image.labels:
            try:
                crop = self._crop(image.sample, label, size, needed=writer.needs_masks)
            except ValueError as error:
                self.left_out.append(f"{image.sample.filepath}, label {label.id}: {error}")
                missing.append(label.label)
            else:
                written.append(CleanInstance(label, crop))
        if image.labels and not written:  # it would look like one where everything was rejected
            return
        writer.add(image.sample, size, written, [*filter(None, image.open), *missing])
        self.images += 1
        self.open += len(image.open)
        self.instances.update(instance.label.label for instance in written)

    def _crop(
        self,
        sample: fo.Sample,
        label: fo.Detection,
        size: tuple[int, int] | None,
        *,
        needed: bool,
    ) -> MaskCrop | None:
        """A label's mask on its image, which has a pixel; None where there is none or no size.

        Raises:
            ValueError: it has none and needs one, or none of its pixels lies on the image.
        """
        if size is None:
            mask_of(label)
            return None
        crop = crop_of(label, size)
        if crop is None:
            if needed:
                raise ValueError("it has no mask")
            return None
        if not crop.area:
            raise ValueError("its mask is empty, or lies outside the image")
        if needed and reaches_over(label, size):
            self.cut.append(f"{sample.filepath}, label {label.id}")
        return crop


class _Row(NamedTuple):
    """What of a label says whether it is exported; `shown` is whether the view shows it."""

    id: str
    label: str | None
    review: str | None
    confidence: float | None
    shown: bool


@dataclass(frozen=True)
class _Sorted:
    """An image's labels: places of those to be exported, names of open ones and of hidden ones."""

    taken: list[int]
    open: list[str | None]
    missing: list[str]
    decided: bool

    @property
    def is_clean(self) -> bool:
        """Whether somebody has looked at the image, or something of it is taken undecided."""
        return self.decided or bool(self.taken)


def _sort_out(rows: Sequence[_Row], undecided_above: float | None) -> _Sorted:
    found = _Sorted([], [], [], any(row.shown and row.review in KINDS for row in rows))
    for place, row in enumerate(rows):
        if row.review == REJECTED:
            continue
        sure = (
            undecided_above is not None
            and row.confidence is not None
            and row.confidence >= undecided_above
        )
        if not row.label or (row.review not in (ACCEPTED, RENAMED) and not sure):
            found.open.append(row.label)
        elif row.shown:
            found.taken.append(place)
        else:
            found.missing.append(row.label)
    return found


def _clean(samples: Samples, field: str, undecided_above: float | None) -> Iterator[_Image]:
    """The images of the export; those that nobody has looked at are passed over.

    What a view hides of an image's labels is not exported, and not forgotten either.
    """
    ids = samples.values(["id", f"{field}.detections.id"])
    asked = {sample_id: set(row or ()) for sample_id, row in zip(*ids)}
    images = all_images(root_dataset(samples))
    order = list(asked)
    parts = (order[i : i + _SAMPLES_A_QUERY] for i in range(0, len(order), _SAMPLES_A_QUERY))
    views = (images.select(part, ordered=True).select_fields(field) for part in parts)
    for sample in chain.from_iterable(views):
        value = sample[field]
        labels = [] if value is None else list(value.detections)
        rows = [
            _Row(
                label.id,
                label.label,
                label.get_attribute_value("review", None),
                label.confidence,
                label.id in asked[sample.id],
            )
            for label in labels
        ]
        found = _sort_out(rows, undecided_above)
        if found.is_clean:
            yield _Image(sample, [labels[i] for i in found.taken], found.open, found.missing)


def _target(path: str | Path, format: str, overwrite: bool) -> Path:
    if format not in FORMATS:
        choices = ", ".join(map(repr, FORMATS))
        raise ValueError(f"format is {format!r}, must be one of {choices}")
    target = Path(path).expanduser()
    is_folder = target.is_dir()
    if format == "fiftyone" and target.exists() and not is_folder:
        raise ValueError(
            f"{target} is a file, and a FiftyOne dataset is a folder: give another path"
        )
    if format != "fiftyone" and is_folder:
        raise ValueError(f"{target} is a folder: give the JSON file, such as {target}/clean.json")
    if not target.exists() or (is_folder and not any(target.iterdir())):
        return target
    if not overwrite:
        raise ConsentError(f"{target} already exists", "choose another path", OVERWRITE)
    if is_folder and not (target / "samples.json").is_file():
        raise ValueError(
            f"{target} holds something other than a FiftyOne dataset: choose another path"
        )
    return target
