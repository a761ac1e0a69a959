"""What FiftyOne's `apply_model` is asked before it writes, and told of samples that fail."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import fiftyone.core.media as fom
from fiftyone.core.video import FramesView

from ovsam_plugin.dataset.fields import declare_fields, error_field
from ovsam_plugin.dataset.internals import dataset_of, declare_on_frames, is_generated
from ovsam_plugin.dataset.overwriting import made_by_hand
from ovsam_plugin.dataset.targets import VIDEO, Samples, all_images, copies_of

CHANGED = (
    "the view changed while it was labelled, since it depends on the field that is written: label "
    "view.select(view.values('id')) of the dataset instead"
)


class ViewChangedError(BaseException):
    """Leaves FiftyOne's loop over batches, which goes on after any `Exception`."""

    def __init__(self) -> None:
        super().__init__(CHANGED)


@dataclass(frozen=True)
class ApplyCall:
    """One call of `apply_model`, which is going on.

    Attributes:
        dataset: whose fields are written; of frames, the one that their view makes.
        label_field: the field.
        failed: ids of the samples on which an earlier call left a reason.
    """

    dataset: fo.Dataset
    label_field: str
    failed: frozenset[str]

    @classmethod
    def begin(cls, samples: Samples, label_field: str) -> ApplyCall:
        """Checks everything, and declares what will be written.

        Raises:
            ValueError: see `OvsamModel.__enter__`.
        """
        frames = isinstance(samples, FramesView)
        if samples.media_type == fom.VIDEO:
            raise ValueError(VIDEO)
        if is_generated(samples) and not frames:
            raise ValueError(copies_of(samples))
        # FiftyOne replaces what a field holds, and has no way to ask for consent.
        if found := made_by_hand(samples, label_field):
            raise ValueError(
                f"field {label_field!r} holds labels that would be replaced ({found}): give "
                "another label_field, or clear it first with "
                f"samples.clear_sample_field({label_field!r})"
            )
        dataset = dataset_of(samples)
        declare_fields(dataset, label_field)
        if frames:
            # FiftyOne declares what it meets first, but cannot where that is None.
            names = (label_field, error_field(label_field))
            declare_on_frames(samples, {name: dataset.get_field(name) for name in names})
        failed = all_images(dataset).exists(error_field(label_field)).values("id")
        return cls(dataset, label_field, frozenset(failed))

    def tell(self, sample: fo.Sample, error: str | None) -> None:
        """Writes why a sample has not all labels, or removes the reason of an earlier failure.

        FiftyOne gives a model samples without their other fields: None would be no change of one.
        """
        name = error_field(self.label_field)
        if error is not None:
            sample.set_field(name, error)
        elif sample.id in self.failed:
            all_images(self.dataset).select(sample.id).set_values(name, [None])
