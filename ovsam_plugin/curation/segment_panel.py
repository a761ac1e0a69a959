"""What the panel "Segment" asks, as JSON has it: photographs, prompts, and instances to draw.

Nothing is kept here from one question to the next but the network and what it has encoded, so a
server that was started anew goes on where the old one stopped.
"""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import fiftyone as fo
import fiftyone.core.media as fom
import numpy as np
import numpy.typing as npt
from bson import ObjectId
from bson.errors import InvalidId
from fiftyone.core.json import stringify

from ovsam_plugin.curation.attributes import number
from ovsam_plugin.curation.clicked_field import ClickedField
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import (
    aggregate,
    dataset_of,
    photograph_key,
    root_of,
    sample_documents,
)
from ovsam_plugin.dataset.label_masks import crop_of, pixel_box, to_xyxy
from ovsam_plugin.dataset.targets import Samples, all_images, fields_of
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.interactive.session import Instance
from ovsam_plugin.interactive.shared_network import (
    Answers,
    Photograph,
    load_shared_network,
    vocabulary_named,
)
from ovsam_plugin.prediction.prompts import Box, Mask, Points, Prompt
from ovsam_plugin.vocabulary.tables import BUILT_IN
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

DEFAULT_FIELD = "clicked"
# Pixels along a photograph's longer side at which masks are sent.
PREVIEW = 1024
_DEFAULT_VOCABULARY = "lvis"
# Classes of a user's own that are offered as a list of names.
_FEW = 200
# Seconds without a change until embeddings are filed.
_QUIET = 3.0

_filing: dict[tuple[str, str], threading.Timer] = {}


def open_photograph(samples: fo.DatasetView, sample_id: str | None) -> dict[str, Any]:
    """Where a sample's photograph lies, and what its dataset offers; no network is needed.

    Args:
        samples: what the App shows.
        sample_id: the sample, or a patch; the first when None.

    Returns:
        among others `sample_id`, of a patch that of its photograph.

    Raises:
        ValueError: it is gone or holds no photograph.
    """
    dataset = as_stored(root_of(samples))
    if sample_id is None:
        sample_id = next(_photographs(samples.limit(1)), None)
        if sample_id is None:
            raise ValueError("there is no photograph here")
    sample_id = _photograph_of(samples, sample_id)
    fields = fields_of(dataset, (fo.Detections,))
    return {
        "sample_id": sample_id,
        "filepath": _filepath(dataset, sample_id),
        "fields": fields,
        "field": DEFAULT_FIELD,
        "vocabularies": {name: _vocabulary_text(dataset, name) for name in fields},
    }


def look(dataset: fo.Dataset, sample_id: str, field: str) -> dict[str, Any]:
    """The photograph's size, and the instances that are there; it is encoded by then.

    Returns:
        `width` and `height`, and what `_instances` gives.

    Raises:
        ValueError: the sample is gone, its photograph cannot be read, or the field holds something
            else.
        FileNotFoundError: the weights are not on this machine.
    """
    check_field(dataset, field)
    height, width = load_shared_network().size(_photograph(dataset, sample_id))
    there = _instances(dataset, sample_id, field, (height, width))
    return {"width": width, "height": height, **there}


def ask(
    dataset: fo.Dataset, sample_id: str, kind: str, vocabulary: str, asked: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Instances to draw.

    Args:
        dataset: the sample's.
        sample_id: the sample.
        kind: "answer" (one), "candidates", "everything" or "find".
        vocabulary: a built-in one, or names separated by commas.
        asked: the prompt, as `read_prompt` takes it; or `words`.

    Raises:
        ValueError: as for `look`; or the prompt is none, or lies outside.
    """
    network, photograph = load_shared_network(), _photograph(dataset, sample_id)
    names = vocabulary_of_text(vocabulary)
    size = network.size(photograph)
    factor = min(1.0, PREVIEW / max(size))
    if kind == "answer":
        prompt = read_prompt(asked, size)
        if prompt.drawn is not None:
            return [
                _told(network.answer(photograph, prompt, names), 0, factor=factor, prompt=prompt)
            ]
        found = network.preview(photograph, prompt, names, PREVIEW)
        return [_told(found, 0, factor=1.0, stretch=_stretch(found, size), prompt=prompt)]
    if kind == "candidates":
        found = network.candidates(photograph, read_prompt(asked, size), names)
    elif kind in ("everything", "find"):
        words = str(asked.get("words", "")) if kind == "find" else None
        found = network.everything(photograph, names, words)
    else:
        raise ValueError(f"{kind!r} cannot be asked")
    prompts = found.instances.prompts
    return [_told(found, i, factor=factor, prompt=prompts[i]) for i in range(len(found))]


def change(
    dataset: fo.Dataset, sample_id: str, action: str, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Changes the label field, from a prompt that is answered at the photograph's own size.

    Args:
        dataset: the sample's.
        sample_id: the sample.
        action: "add", "redraw", "rename" or "remove".
        asked: `field`; `label_id` of an instance that is there; the prompt and `vocabulary` of what
            is drawn; `name`, where the person gave one; `merged`, the ids of instances that are in
            what is redrawn, and go; `by`, who does it, where the App knows.

    Returns:
        `label_id`, the `sample`'s document, and what `_instances` gives.

    Raises:
        ValueError: the sample or the label is gone, or the change cannot be made.
    """
    field = str(asked.get("field") or "")
    check_field(dataset, field)
    photograph = _photograph(dataset, sample_id)
    network = load_shared_network()
    size = network.size(photograph)
    clicked = ClickedField(dataset, field, network.predictor)
    label_id, name = str(asked.get("label_id") or ""), asked.get("name") or None
    by = asked.get("by") or None
    if action in ("add", "redraw"):
        names = vocabulary_of_text(str(asked.get("vocabulary") or ""))
        instance = Instance(network.answer(photograph, read_prompt(asked, size), names))
        if action == "add":
            label_id = clicked.add(sample_id, instance, name, by)
        else:
            merged = asked.get("merged") or ()
            clicked.redraw(sample_id, label_id, instance, name, by, merged)
    elif action == "rename":
        clicked.rename(sample_id, label_id, name or "", by)
    elif action == "remove":
        clicked.remove(sample_id, label_id)
    else:
        raise ValueError(f"{action!r} cannot be done")
    _file_later(clicked, dataset.name, field)
    document = sample_documents(dataset).find_one({"_id": ObjectId(sample_id)})
    return {
        "label_id": label_id,
        **_instances(dataset, sample_id, field, size),
        "sample": stringify(document),
    }


def go_ahead(samples: fo.DatasetView, sample_id: str) -> dict[str, str | None]:
    """The photographs before and after one; the latter is encoded meanwhile."""
    before, after = beside(_slice_with(samples, sample_id), sample_id)
    if after is not None:
        try:
            load_shared_network().encode_ahead(_photograph(root_of(samples), after))
        except ValueError as error:  # it is told when that photograph is opened
            logger.info("not encoded ahead: %s", error)
    return {"previous": before, "next": after}


def beside(samples: Samples, sample_id: str) -> tuple[str | None, str | None]:
    """The photographs before and after one, read no further than that; of none, the last is
    before."""
    before, found = None, _photographs(samples)
    for here in found:
        if here == sample_id:
            return before, next(found, None)
        before = here
    return before, None


def _photographs(samples: Samples) -> Iterator[str]:
    """Ids of the photographs that are shown, in their order; of several patches of one, it once."""
    key = photograph_key(samples)
    rows = (str(row[key]) for row in aggregate(samples, [{"$project": {key: True}}]))
    if key == "_id":
        yield from rows
        return
    seen: set[str] = set()
    for row in rows:
        if row not in seen:
            seen.add(row)
            yield row


def _photograph_of(samples: Samples, sample_id: str) -> str:
    """The photograph's id, for that of a patch; any other stays as it is."""
    key = photograph_key(samples)
    if key == "_id" or not ObjectId.is_valid(sample_id):
        return sample_id
    known = {"_id": ObjectId(sample_id)}
    patch = sample_documents(dataset_of(samples)).find_one(known, {key: True})
    return sample_id if patch is None else str(patch[key])


def _slice_with(samples: fo.DatasetView, sample_id: str) -> fo.DatasetView:
    """The same view; one of groups, which shows a slice at a time, of the sample's slice."""
    dataset = dataset_of(samples)
    if samples.media_type != fom.GROUP or dataset.media_type != fom.GROUP:
        return samples
    names = all_images(dataset).select(sample_id).values(f"{dataset.group_field}.name")
    view = samples.view()
    if names and names[0] in view.group_slices:
        view.group_slice = names[0]
    return view


def read_prompt(asked: Mapping[str, Any], size: tuple[int, int]) -> Prompt:
    """A prompt, in pixels of the photograph.

    Args:
        asked: `points`, (x, y, on) each; or a `box`; or a painted `mask`: its corners `at`, its
            `shape` in fewer pixels, and the `runs` of these, as `row_runs` gives them.
        size: (height, width) of the photograph.

    Raises:
        ValueError: it has none of them, or they are none.
    """
    try:
        if asked.get("mask"):
            return Mask(_read_mask(asked["mask"], size), size=size)
        if asked.get("box"):
            x1, y1, x2, y2 = asked["box"]
            return Box((x1, y1, x2, y2))
        points = list(asked.get("points") or ())
        return Points(tuple((x, y) for x, y, _ in points), tuple(int(on) for _, _, on in points))
    except (TypeError, KeyError) as error:
        raise ValueError(f"this is not a prompt: {error}") from None


def _read_mask(told: Mapping[str, Any], size: tuple[int, int]) -> MaskCrop:
    """A painted mask on the photograph's own pixels, its edge as smooth as they are."""
    runs, (rows, columns) = np.array(told["runs"], dtype=np.int64), told["shape"]
    x1, y1, x2, y2 = (round(float(v)) for v in told["at"])
    if not (0 < rows <= PREVIEW and 0 < columns <= PREVIEW and (runs >= 0).all()):
        raise ValueError(f"a mask of {rows} x {columns} pixels cannot be read")
    if runs.sum() != rows * columns or not (0 <= x1 < x2 <= size[1] and 0 <= y1 < y2 <= size[0]):
        raise ValueError("the mask does not fill its box, or does not lie on the photograph")
    bits = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rows, columns)
    if bits.shape != (y2 - y1, x2 - x1):
        bits = cv2.resize(bits.astype(np.float32), (x2 - x1, y2 - y1)) >= 0.5
    return MaskCrop.at(bits, x1, y1)


def vocabulary_of_text(text: str) -> Vocabulary:
    """A built-in vocabulary by its name, or names separated by commas; LVIS when there is nothing.

    Raises:
        ValueError: a name is none.
    """
    text = text.strip() or _DEFAULT_VOCABULARY
    known = text.lower() in BUILT_IN or "," in text
    return vocabulary_named(text if known else f"{text},")


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """How many pixels are off, on, off, ... along the rows of an (h, w) bool mask."""
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts: list[int] = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return [0, *counts] if flat.size and flat[0] else counts


def _told(
    found: Answers, index: int, *, factor: float, prompt: Prompt, stretch: float = 1.0
) -> dict[str, Any]:
    instance = Instance(found[[index]])
    return {
        **_drawn(instance.crop, instance.box, factor, stretch),
        "prompt": {"points": None, "box": None, **prompt.to_json()},
        "names": [[name, score] for name, score in instance.names],
        "objectness": instance.objectness,
    }


def _drawn(
    mask: npt.NDArray[np.bool_], box: Sequence[float], factor: float, stretch: float = 1.0
) -> dict[str, Any]:
    """A mask to draw over its box, in fewer pixels where it has many.

    Args:
        mask: inside its box.
        box: xyxy in the mask's own pixels.
        factor: by which the mask is shrunk.
        stretch: pixels of the photograph a pixel of the box.
    """
    if factor < 1 and mask.size:
        size = max(1, round(mask.shape[1] * factor)), max(1, round(mask.shape[0] * factor))
        small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        mask = np.greater_equal(small, 0.5)
    corners = [float(v) * stretch for v in box]
    return {"at": corners, "shape": list(mask.shape), "runs": row_runs(mask)}


def _stretch(found: Answers, size: tuple[int, int]) -> float:
    return max(size) / max(found.instances.image_size)


def _instances(
    dataset: fo.Dataset, sample_id: str, field: str, size: tuple[int, int]
) -> dict[str, Any]:
    """Those in a label field, as the database has them now.

    Returns:
        `instances`; `left_out`, what is wrong with those that cannot be drawn, "" with none; and
        `elsewhere`, how many the photograph has in other fields, by their names.
    """
    there: list[dict[str, Any]] = []
    wrong: list[str] = []
    others = [name for name in fields_of(as_stored(dataset), (fo.Detections,)) if name != field]
    asked = {f"{field}.detections": True, **{f"{name}.detections._id": True for name in others}}
    found = sample_documents(dataset).find_one({"_id": ObjectId(sample_id)}, asked) or {}
    for stored in (found.get(field) or {}).get("detections") or ():
        try:
            there.append(_there(fo.Detection.from_dict(stored), size))
        except (ValueError, TypeError, zlib.error) as error:
            wrong.append(f"{stored.get('label') or stored['_id']}: {error}")
    told = f"{len(wrong)} in {field!r} cannot be drawn ({wrong[0]})" if wrong else ""
    counts = {name: len((found.get(name) or {}).get("detections") or ()) for name in others}
    elsewhere = {name: count for name, count in counts.items() if count}
    return {"instances": there, "left_out": told, "elsewhere": elsewhere}


def _there(label: fo.Detection, size: tuple[int, int]) -> dict[str, Any]:
    """An instance of a field, to draw. Raises ValueError if its box or its mask is broken."""
    pixel_box(label.bounding_box, size)
    crop = crop_of(label, size)
    if crop is not None and crop.area:
        drawn = _drawn(crop.mask, crop.box, min(1.0, PREVIEW / max(size)))
    else:
        box = list(to_xyxy(label.bounding_box, size))
        drawn = {"at": box, "shape": [1, 1], "runs": [0, 1]}
    names = zip(_value(label, "top_labels"), _value(label, "top_scores"))
    return {
        **drawn,
        "id": label.id,
        "label": label.label,
        "names": [[name, number(score)] for name, score in names],
        "objectness": number(label.get_attribute_value("objectness", None)),
    }


def _value(label: fo.Detection, name: str) -> Sequence[Any]:
    return label.get_attribute_value(name, None) or ()


def _photograph(dataset: fo.Dataset, sample_id: str) -> Photograph:
    return Photograph.of(_filepath(dataset, sample_id))


def _filepath(dataset: fo.Dataset, sample_id: str) -> str:
    try:
        known = {"_id": ObjectId(sample_id)}
    except InvalidId:
        raise ValueError(f"{sample_id!r} is not a sample's id") from None
    found = sample_documents(dataset).find_one(known, {"filepath": True, "_media_type": True})
    if found is None:
        raise ValueError("this photograph is no longer in the dataset")
    if found.get("_media_type", "image") != "image":
        raise ValueError(f"Segment needs photographs, and this is a {found['_media_type']}")
    return str(found["filepath"])


def _vocabulary_text(dataset: fo.Dataset, field: str) -> str:
    """What the labels of a field were named from, as `vocabulary_of_text` takes it; else empty."""
    recorded = runs.recorded(dataset, field)
    if recorded is None:
        return ""
    if recorded["vocabulary"] in BUILT_IN:
        return str(recorded["vocabulary"])
    classes = runs.recorded_vocabulary(dataset, field)
    return ", ".join(classes.names) if classes is not None and len(classes) <= _FEW else ""


def _file_later(clicked: ClickedField, dataset: str, field: str) -> None:
    """Files embeddings once nothing was changed for a while: the whole index is written anew."""

    def file() -> None:
        try:
            clicked.file()
        except Exception as error:  # they stay in the spool, and the next call files them
            logger.warning("the embeddings of field %r are not stored yet: %s", field, error)

    timer = threading.Timer(_QUIET, file)
    timer.daemon = True
    earlier = _filing.get((dataset, field))
    if earlier is not None:
        earlier.cancel()
    _filing[dataset, field] = timer
    timer.start()
