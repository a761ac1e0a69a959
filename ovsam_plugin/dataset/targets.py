"""What may be labelled, and which of its fields may ask."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import fiftyone as fo
import fiftyone.core.collections as foc
import fiftyone.core.media as fom
from fiftyone.core.patches import PatchesView
from fiftyone.core.video import FramesView

from ovsam_plugin.dataset.database import IDS_A_QUERY
from ovsam_plugin.dataset.fields import describe
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import (
    attributes_of,
    is_generated,
    is_grouped_by_field,
    is_patches,
    list_in,
    patched_fields,
    root_of,
    source_of,
    stages_of,
    view_of,
)
from ovsam_plugin.dataset.prompt_kinds import label_types

Samples: TypeAlias = foc.SampleCollection

# Stages of a view that decide which fields are seen.
_HIDING = ("SelectFields", "ExcludeFields")


def root_dataset(samples: Samples) -> fo.Dataset:
    """The dataset that a dataset or view belongs to, as the database has it now.

    Other processes, such as the App's, change its runs, views and fields too: see `handles`.

    Raises:
        TypeError: it is neither.
        ValueError: another process has deleted the dataset.
    """
    if not isinstance(samples, foc.SampleCollection):
        raise TypeError(
            f"samples must be a FiftyOne dataset or view, got {type(samples).__name__}: "
            'load one by its name with fo.load_dataset("...")'
        )
    return as_stored(root_of(samples))


def all_images(dataset: fo.Dataset) -> Samples:
    """Every image of a dataset, those of all slices of a grouped one."""
    if dataset.media_type == fom.GROUP:
        return dataset.select_group_slices(media_type=fom.IMAGE)
    return dataset


def with_all_fields(samples: Samples) -> Samples:
    """The same samples, where a view hides none of their fields.

    Args:
        samples: a dataset or view; one of patches or frames stays as it is.
    """
    stages = stages_of(samples)
    kept = [stage for stage in stages if stage["_cls"].rpartition(".")[2] not in _HIDING]
    if len(kept) == len(stages) or is_generated(samples):
        return samples
    return view_of(root_of(samples), kept)


def photographs_behind(patches: Samples, field: str) -> Samples:
    """The photographs that patches were cut from, with these instances of a field alone.

    All patches of a view are that view. Only of some of them the database is told which.

    Args:
        patches: a view of patches of `field`, or of an evaluation of it.
        field: a field of Detections.

    Raises:
        ValueError: some of the patches, and more than a query takes.
    """
    source = source_of(patches) if isinstance(patches, PatchesView) else None
    if source is not None:
        return flat(source)
    inner = list_in(patches.get_field(field).document_type)
    path = f"{field}.{inner}.id" if inner else f"{field}.id"
    ids = patches.values(path, unwind=inner is not None)
    if len(ids) > IDS_A_QUERY:
        raise ValueError(
            f"the view chooses {len(ids):,} patches, and a query takes up to {IDS_A_QUERY:,}: "
            "choose fewer, or give the photographs and not their patches"
        )
    return all_images(root_of(patches)).select_labels(ids=ids, fields=field)


def shown_labels(samples: Samples, field: str) -> Samples:
    """What the App shows as samples with labels: of a patches grid, the patches' own labels.

    Args:
        samples: what it shows.
        field: a field of Detections.

    Raises:
        ValueError: the patches are of another field, or too many: see `photographs_behind`.
    """
    if not is_patches(samples):
        return flat(ungrouped(samples))
    patched = patched_fields(samples)
    if field not in patched:
        shown = " and ".join(map(repr, patched))
        raise ValueError(f"the grid shows patches of {shown}: choose that field, or another view")
    return photographs_behind(samples, field)


VIDEO = (
    "videos cannot be labelled as they are: label their frames with "
    "dataset.to_frames(sample_frames=True).clone()"
)


def check_images(samples: Samples) -> None:
    """Whether these samples are images of a dataset.

    Raises:
        ValueError: they are videos, groups, another medium, or made by a view (patches, frames).
    """
    check_flat(samples)
    media = samples.media_type
    if media == fom.VIDEO:
        raise ValueError(VIDEO)
    if media not in (fom.IMAGE, None):
        raise ValueError(f"only images can be labelled, these samples are of type {media!r}")
    if is_generated(samples):
        raise ValueError(copies_of(samples))


def check_shown(samples: Samples) -> None:
    """The same, told to a person whose grid shows these samples.

    Raises:
        ValueError: see `check_images`.
    """
    if is_generated(samples):
        raise ValueError(
            "the grid shows single instances or frames, not photographs: clear the view, with the "
            "cross at the end of the view bar, and ask again"
        )
    check_images(samples)


def check_flat(samples: Samples) -> None:
    """Whether each of these samples stands for itself, and not for a group.

    Raises:
        ValueError: they are groups; the message says which view to give instead.
    """
    if samples.media_type != fom.GROUP and not is_grouped_by_field(samples):
        return
    if is_grouped_by_field(samples):
        raise ValueError(
            "a view that is grouped by a field shows one sample per group: give the view before "
            "group_by(...), or dataset.select(samples.flatten().values('id')), all of its samples"
        )
    kinds = root_dataset(samples).group_media_types
    slices = [name for name, kind in kinds.items() if kind == fom.IMAGE]
    raise ValueError(
        "a grouped dataset shows one slice at a time: give "
        f"samples.select_group_slices({slices!r}), its image slices"
    )


def ungrouped(samples: Samples) -> Samples:
    """All samples of a view that is grouped by a field; any other as it is."""
    if not is_grouped_by_field(samples):
        return samples
    return root_of(samples).select(samples.flatten().values("id"))


def flat(samples: Samples) -> Samples:
    """Samples that each stand for themselves.

    Args:
        samples: a dataset, all of whose images are meant, or a view, of which is meant what it
            shows: of groups, the samples of its active slice.

    Raises:
        ValueError: they are grouped by a field.
    """
    if samples.media_type != fom.GROUP or is_grouped_by_field(samples):
        check_flat(samples)
        return samples
    if isinstance(samples, fo.Dataset):
        return all_images(samples)
    dataset, active = root_of(samples), samples.group_slice
    if active == dataset.group_slice:
        return samples.select_group_slices(active)
    # After other stages FiftyOne would read another slice anew, as if they were not there.
    stages = [s for s in stages_of(samples) if not s["_cls"].endswith(".SelectGroupSlices")]
    return view_of(dataset, [*stages_of(dataset.select_group_slices(active)), *stages])


def copies_of(view: Samples) -> str:
    """What to do instead, for who gives a view whose samples are made from another dataset's."""
    what = f"a {type(view).__name__} holds copies, made from another dataset"
    if isinstance(view, FramesView):
        return (
            f"{what}: give a dataset of these frames, samples.clone(); apply_model writes to the "
            "videos' frames themselves"
        )
    return f"{what}, and what is written to them does not reach it: give that dataset itself"


def check_prompt_fields(samples: Samples, prompt_fields: Mapping[str, str]) -> None:
    """Whether these fields exist and hold what can be a prompt.

    Args:
        prompt_fields: field names by keywords of `apply_model`.

    Raises:
        ValueError: a field is unknown (near names are listed) or of another type.
    """
    for key, name in prompt_fields.items():
        field = samples.get_field(name)
        types = label_types(key)
        fitting = fields_of(samples, types)
        kinds = " or ".join(t.__name__ for t in types)
        if field is None:
            raise ValueError(f"there is no field {name!r}{near(name, fitting)}; need {kinds}")
        if name not in fitting:
            raise ValueError(
                f"field {name!r} holds {describe(field)}, need {kinds}{near(name, fitting)}"
            )


def fields_of(samples: Samples, labels: Sequence[type[fo.Label]]) -> list[str]:
    """Names of the fields that hold one of these label types."""
    return [
        name
        for name, field in samples.get_field_schema().items()
        if getattr(field, "document_type", None) in labels
    ]


def check_detections(samples: Samples, name: str) -> None:
    """Whether a field holds detections.

    Raises:
        ValueError: it does not, or there is none of that name.
    """
    field, fitting = samples.get_field(name), fields_of(samples, (fo.Detections,))
    if field is None:
        raise ValueError(f"there is no field {name!r}; need Detections{near(name, fitting)}")
    if name not in fitting:
        raise ValueError(
            f"field {name!r} holds {describe(field)}, need Detections{near(name, fitting)}"
        )


def class_fields(dataset: fo.Dataset) -> list[str]:
    """Names of the fields whose labels have classes."""
    return [
        name
        for name, field in dataset.get_field_schema().items()
        if _label_path(name, field) is not None
    ]


def classes_present(samples: Samples, name: str) -> list[str]:
    """The class names in a label field of the whole dataset, sorted.

    Raises:
        ValueError: the field is unknown, has no labels with classes, or holds none.
    """
    dataset = root_dataset(samples)
    field = dataset.get_field(name)
    named = class_fields(dataset)
    if field is None:
        raise ValueError(f"there is no field {name!r}{near(name, named)}")
    path = _label_path(name, field)
    if path is None:
        raise ValueError(f"field {name!r} holds no labels with classes{near(name, named)}")
    classes = [label for label in all_images(dataset).distinct(path) if label]
    if not classes:
        raise ValueError(f"field {name!r} holds no class name yet: nothing to use as vocabulary")
    return classes


def near(name: str, known: Sequence[str]) -> str:
    """A few of the known names, nearest first, as the end of a message."""
    if not known:
        return " (the dataset has none that fit)"
    shown = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or sorted(known)[:10]
    return f": there {'is' if len(shown) == 1 else 'are'} {', '.join(map(repr, shown))}"


def _label_path(name: str, field: fo.Field) -> str | None:
    document = getattr(field, "document_type", None)
    if isinstance(document, type) and "label" in attributes_of(document):
        return f"{name}.label"
    inner = list_in(document)
    return None if inner is None else f"{name}.{inner}.label"
