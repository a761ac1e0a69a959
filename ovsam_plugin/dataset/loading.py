"""What a loader worker makes of one sample: pixels ready for the network, and what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import fiftyone.utils.torch as fout
import numpy as np
from pymongo.errors import PyMongoError
from torch.utils.data import get_worker_info

from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.sample_prompts import Asked, read_prompts
from ovsam_plugin.hardware.orphan import end_with_parent
from ovsam_plugin.images.frame import Frame, make_frame
from ovsam_plugin.images.reading import Pixels, read_picture
from ovsam_plugin.images.tiles import Tiles, pixels_needed, place_tiles, tiles_along, tiles_of_small
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.stages import within

# Seconds that reading one sample may take.
PATIENCE = 120.0


@dataclass(frozen=True, eq=False)
class Loaded:
    """One sample on its way to the network.

    Attributes:
        id: the sample's; None for a bare array.
        frame: the image, or None when it could not be read.
        asked: its prompts, or None when the whole image is asked for.
        error: why there is no frame.
        pixels: (H, W, 3) uint8 RGB, the photograph at its own size, where a namer looks at it.
    """

    id: str | None = None
    frame: Frame | None = None
    asked: Asked | None = None
    error: str | None = None
    pixels: Pixels | None = None


class SampleTable(fout.FiftyOneTorchDataset):  # type: ignore[misc]
    """FiftyOne's table of samples, where one that it cannot read costs no other.

    FiftyOne reads the samples of a batch together: one whose labels are damaged makes that fail,
    and after one that is gone, each takes the place of another.
    """

    @staticmethod
    def worker_init(worker_id: int) -> None:
        """In a loading process: FiftyOne's own, and that none outlives the process it loads for."""
        end_with_parent()
        fout.FiftyOneTorchDataset.worker_init(worker_id)

    def __getitems__(self, places: Sequence[int]) -> list[Loaded | None]:
        """What was loaded of each; None of a sample that is gone."""
        try:
            items = self._read(places)
        except PyMongoError:
            raise
        except Exception:
            items = []
        right = len(items) == len(places) and all(
            isinstance(item, Loaded) and item.id == self.keys[place]
            for place, item in zip(places, items)
        )
        return items if right else [self._alone(place) for place in places]

    def _read(self, places: Sequence[int]) -> list[Any]:
        whole = super().__getitems__
        return patiently(lambda: list(whole(places)))

    def _alone(self, place: int) -> Loaded | None:
        sample_id = str(self.keys[place])
        try:
            (item,) = self._read([place])
        except PyMongoError:
            raise
        except Exception as error:
            item = error
        if isinstance(item, Loaded):
            return item
        if not len(self.samples.select(sample_id)):
            return None
        return Loaded(sample_id, error=f"FiftyOne cannot read this sample: {item}")


class SampleLoader(fout.GetItem):  # type: ignore[misc]
    """Reads a sample's image and prompts; never raises, so that no sample costs another.

    Runs in loader processes: it holds no weights, and calls neither torch nor a device.

    Args:
        description: of the network that the pictures are for.
        prompt_fields: field names by keywords of `apply_model`; none to ask for everything.
        refine_masks: whether mask prompts are drawn anew.
        tiles: what large photographs and small boxes are looked at in too; see `tiles`.
        whole: whether the photographs' own pixels are kept, for a namer.
        patience: seconds that a sample may take, as where a network's disk hangs.
    """

    def __init__(
        self,
        description: NetworkDescription,
        prompt_fields: Mapping[str, str],
        *,
        refine_masks: bool = False,
        tiles: Tiles = "auto",
        whole: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self._whole = whole
        self._tiles = tiles
        self._patience = patience
        self._description = description
        self._prompt_keys = tuple(prompt_fields)
        self._refine_masks = refine_masks
        super().__init__(field_mapping=dict(prompt_fields))

    @property
    def required_keys(self) -> list[str]:
        return ["id", "filepath", *self._prompt_keys]

    def __call__(self, values: Mapping[str, Any]) -> Loaded:
        if get_worker_info() is not None:
            # OpenCV's threads do not survive the fork that made this process.
            cv2.setNumThreads(0)
        try:
            return within(self._patience, lambda: self._load(values))
        except TimeoutError as error:
            return Loaded(values["id"], error=f"the image could not be read: {error}")
        except (ValueError, TypeError) as error:
            return Loaded(values["id"], error=str(error))
        except Exception as error:
            return Loaded(values["id"], error=f"{type(error).__name__}: {error}")

    def _load(self, values: Mapping[str, Any]) -> Loaded:
        input_size = self._description.image_size
        needed = input_size if self._tiles == 0 else input_size * pixels_needed(self._tiles)
        picture = read_picture(values["filepath"], None if self._whole else round(needed))
        asked = None
        if self._prompt_keys:
            labels = {key: values[key] for key in self._prompt_keys}
            asked = read_prompts(labels, picture.size, refine_masks=self._refine_masks)
        tiles = self._placed(picture.size, asked)
        height, width = picture.pixels.shape[:2]
        shrunk = np.tile([width / picture.size[1], height / picture.size[0]], 2)
        parts = [
            (int(x1), int(y1), int(x2), int(y2))
            for x1, y1, x2, y2 in (np.round(np.array(tile) * shrunk) for tile in tiles)
        ]
        frame = make_frame(picture.pixels, self._description, picture.size, parts)
        pixels = picture.pixels if self._whole else None
        return Loaded(values["id"], frame, asked, pixels=pixels)

    def _placed(
        self, size: tuple[int, int], asked: Asked | None
    ) -> list[tuple[int, int, int, int]]:
        """The parts of the photograph that are looked at too."""
        input_size = self._description.image_size
        if asked is None:
            return place_tiles(size, tiles_along(self._tiles, size, input_size))
        known = [prompt.within for prompt in asked.prompts if prompt.within is not None]
        boxes = np.array(known).reshape(-1, 4)
        if self._tiles == "auto":
            return tiles_of_small(boxes, size, input_size)
        return place_tiles(size, self._tiles) if len(boxes) else []
