"""A few photographs labelled without writing anything: what the settings of a run would give.

The network looks at each photograph once; another vocabulary only names again, and other limits
only choose again.
"""

from __future__ import annotations

import functools
import statistics
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from ovsam_plugin.dataset.contact_sheet import SHOWN, SheetTile, TileInstance, caption, counted
from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.images.reading import read_image
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.labeler import Candidates
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.recognizer import Recognition

TILE = 560
"""Longest side of a photograph as it is drawn, in pixels."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Looked:
    """What the network gave for one photograph; no name and no limit in it.

    Attributes:
        title: the file's name.
        image: (h, w, 3) uint8 RGB, as it is drawn; None where it could not be read.
        scale: of that to the photograph's own pixels.
        instances: of the whole photograph, at its own size; None where it could not be labelled.
        found, masks: the same before they are chosen from; None where prompts asked.
        seconds: what it took.
        error: why there are no instances.
    """

    title: str
    image: npt.NDArray[np.uint8] | None = None
    scale: float = 1.0
    instances: Instances | None = None
    found: Decoded | None = None
    masks: Tensor | None = None
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, eq=False)
class Named:
    """A photograph whose instances have names.

    Attributes:
        looked: the photograph.
        instances: as there, their objectness judged by their names too.
        names: of the instances.
        candidates: what is chosen from; None where prompts asked.
    """

    looked: Looked
    instances: Instances | None = None
    names: Recognition | None = None
    candidates: Candidates | None = None


@dataclass(frozen=True, eq=False)
class Preview:
    """A few photographs, and how they would be labelled.

    Attributes:
        model: of the run's settings; its limits do not count.
        named: the photographs.
    """

    model: OvsamModel
    named: tuple[Named, ...]

    @property
    def seconds(self) -> float:
        """What a photograph takes; 0 where none could be labelled."""
        known = [one.looked.seconds for one in self.named if one.instances is not None]
        return statistics.median(known) if known else 0.0

    def at(
        self,
        min_objectness: float | None = None,
        min_confidence: float | None = None,
        calibration: Calibration | None = None,
    ) -> list[tuple[SheetTile, int]]:
        """The photographs with what these limits keep, and how many instances that are.

        Args:
            min_objectness, min_confidence: as for `label_dataset`.
            calibration: whose minimum confidences of classes count; its temperature does not.
        """
        model = self._limited(min_objectness, min_confidence, calibration)
        return [_tile(model, one) for one in self.named]

    def classes(
        self, min_objectness: float | None = None, min_confidence: float | None = None
    ) -> list[str]:
        """The names that these limits keep, the most frequent first."""
        model = self._limited(min_objectness, min_confidence, None)
        found: Counter[str] = Counter()
        for one in self.named:
            if one.instances is not None and one.names is not None:
                kept = _labels(model, one, one.instances, one.names)
                found.update(one.names.names[i] for i in kept.tolist())
        return [name for name, _ in found.most_common()]

    def _limited(
        self,
        min_objectness: float | None,
        min_confidence: float | None,
        calibration: Calibration | None,
    ) -> OvsamModel:
        labeler = self.model.labeler
        labeler = copy(labeler) if calibration is None else labeler.with_least(calibration)
        labeler.min_objectness = min_objectness
        model = copy(self.model)
        model.labeler = labeler
        model.config = replace(model.config, confidence_thresh=min_confidence)
        return model


class _Kept(Generic[T]):
    """The last few of what was made."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        found = self._made.get(key)
        if found is not None:
            self._made.move_to_end(key)
        return found

    def put(self, key: str, made: T) -> T:
        self._made[key] = made
        while len(self._made) > self._most:
            self._made.popitem(last=False)
        return made


_looked: _Kept[tuple[Looked, ...]] = _Kept(2)
_previews: _Kept[Preview] = _Kept(4)
_one_at_a_time = threading.Lock()


def preview(key: str) -> Preview | None:
    """The preview that `make_preview` made for a key, if it is still there."""
    return _previews.get(key)


def make_preview(
    photographs: Samples,
    build: Callable[[], OvsamModel],
    prompt_fields: dict[str, str],
    *,
    key: str,
    look_key: str,
) -> Preview:
    """Labels a few photographs, and writes nothing.

    Args:
        photographs: see `tried_photographs`.
        build: gives the model.
        prompt_fields: field names by keywords of `apply_model`; empty for everything.
        key: under which `preview` finds it: one for all settings but limits.
        look_key: the same without what only names decide.

    Raises:
        ValueError: a setting is out of range.
        FileNotFoundError: the weights are not on this machine.
    """
    with _one_at_a_time:
        made = _previews.get(key)
        if made is not None:
            return made
        model = build()
        looked = _looked.get(look_key)
        if looked is None:
            looked = _looked.put(look_key, _look(model, photographs, prompt_fields))
        named = tuple(_named(model, one) for one in looked)
        return _previews.put(key, Preview(model, named))


def _look(model: OvsamModel, samples: Samples, prompt_fields: dict[str, str]) -> tuple[Looked, ...]:
    table = samples.to_torch(model.build_get_item(prompt_fields), skip_failures=True)
    paths = samples.values("filepath")
    return tuple(
        _look_at(model, functools.partial(table.__getitem__, i), Path(path))
        for i, path in enumerate(paths)
    )


def _look_at(model: OvsamModel, load: Callable[[], Loaded], path: Path) -> Looked:
    started = time.monotonic()
    try:
        item = load()
        if isinstance(item, Exception):
            raise item
        found = _answers(model, item)
        seconds = time.monotonic() - started
        image = read_image(path)
    except Exception as error:  # one photograph must not cost the others
        return Looked(path.name, error=str(error) or type(error).__name__)
    small = Image.fromarray(image)
    small.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
    scale = small.width / image.shape[1]
    return replace(found, title=path.name, image=np.asarray(small), scale=scale, seconds=seconds)


def _answers(model: OvsamModel, item: Loaded) -> Looked:
    labeler = model.labeler
    if item.frame is None:
        raise ValueError(item.error or "it could not be read")
    if item.asked is not None and not item.asked.prompts:
        raise ValueError(item.asked.error or "there are no prompts here")
    (encoding,) = labeler.predictor.encode([item.frame])
    if item.asked is not None:
        instances = labeler.predictor.decode(encoding, item.asked.prompts, labeler.chunk)
        return Looked("", instances=instances)
    grid = model.config.grid or labeler.grid
    found, masks = labeler.look_everywhere(encoding, grid)
    instances = labeler.predictor.finish(encoding, found)
    return Looked("", instances=instances, found=found, masks=masks)


def _named(model: OvsamModel, looked: Looked) -> Named:
    labeler, instances = model.labeler, looked.instances
    if instances is None:
        return Named(looked)
    if looked.found is None or looked.masks is None:
        return Named(looked, instances, labeler.recognizer(instances))
    candidates = labeler.candidates(looked.found, looked.masks)
    instances = replace(instances, objectness=candidates.found.objectness.numpy())
    return Named(looked, instances, candidates.names, candidates)


def _tile(model: OvsamModel, named: Named) -> tuple[SheetTile, int]:
    looked, instances, names = named.looked, named.instances, named.names
    if looked.image is None or instances is None or names is None:
        return SheetTile(looked.title, None, note=looked.error), 0
    labels = _labels(model, named, instances, names)
    surest = labels[np.argsort(-instances.objectness[labels], kind="stable")][:SHOWN]
    drawn = tuple(
        TileInstance(
            _shrunk(instances.crop(i), looked.scale, looked.image.shape[:2]),
            caption(names.names[i], float(names.confidence[i])),
        )
        for i in surest.tolist()
    )
    tile = SheetTile(looked.title, looked.image, drawn, counted(len(labels), SHOWN))
    return tile, len(labels)


def _labels(
    model: OvsamModel, named: Named, instances: Instances, names: Recognition
) -> npt.NDArray[np.int64]:
    """Which of the instances a run with this model would write."""
    order = np.arange(len(instances))
    if named.candidates is not None:
        order = np.array(model.labeler.chosen(named.candidates), dtype=np.int64)
    order = order[model.labeler.kept(instances[order], names[order])]
    asked = named.candidates is None
    kept, _ = model.kept(instances[order], names[order], asked=asked)
    return order[kept]


def _shrunk(crop: MaskCrop, scale: float, size: tuple[int, int]) -> MaskCrop:
    x1, y1, x2, y2 = (round(v * scale) for v in crop.box)
    return MaskCrop.over_box(crop.mask, (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), size)
