"""Ways to turn prompts into masks and names, side by side: what an evaluation compares."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ovsam_plugin.baselines.segmenter import (
    PresetSegmenter,
    Segmented,
    Segmenter,
    Shared,
)
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.network.cost import Cost
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.prompts import Prompt
from ovsam_plugin.recognition.recognizer import Recognition, Recognizer
from ovsam_plugin.vocabulary.text_reading import unit

OVSAM, SAM = "ovsam", "sam"


class Method(Protocol):
    """One row of a comparison.

    Attributes:
        name: as in a table, such as "feature-crop+coop".
        seconds: that the last `label` took, work shared with other methods counted in full.
    """

    name: str
    seconds: float

    def label(
        self, image: Pixels, prompts: Sequence[Prompt]
    ) -> tuple[Instances, Recognition | None]:
        """Masks and names of one image.

        Methods built together share their work while they are asked about the same array, one
        after the other.

        Args:
            image: (H, W, 3) uint8 RGB.
            prompts: in pixels of the image.

        Returns:
            One instance a prompt, in their order, and their names; None from a method that gives
            masks without names.

        Raises:
            ValueError: a prompt does not lie on the image.
        """
        ...

    def cost(self, prompts: int) -> Cost:
        """Parameters, and multiply-adds of one image with that many box prompts."""
        ...


class Ovsam:
    """The network itself: masks and both branches' embeddings from one encoder pass."""

    name = OVSAM

    def __init__(self, segmenter: PresetSegmenter, recognizer: Recognizer) -> None:
        self._segmenter = segmenter
        self._recognizer = recognizer
        self.seconds = 0.0

    def label(self, image: Pixels, prompts: Sequence[Prompt]) -> tuple[Instances, Recognition]:
        """See `Method.label`."""
        segmented = self._segmenter.segment(image, prompts)
        start = time.perf_counter()
        names = self._recognizer(segmented.value.instances)
        self.seconds = segmented.seconds + time.perf_counter() - start
        return segmented.value.instances, names

    def cost(self, prompts: int) -> Cost:
        """See `Method.cost`."""
        return self._segmenter.cost(prompts)


class MasksAlone:
    """A segmenter's masks without names.

    Args:
        segmenter: that makes them.
        name: of the row.
    """

    def __init__(self, segmenter: Segmenter, name: str = SAM) -> None:
        self.name = name
        self._segmenter = segmenter
        self.seconds = 0.0

    def label(self, image: Pixels, prompts: Sequence[Prompt]) -> tuple[Instances, None]:
        """See `Method.label`."""
        segmented = self._segmenter.segment(image, prompts)
        self.seconds = segmented.seconds
        return segmented.value.instances, None

    def cost(self, prompts: int) -> Cost:
        """See `Method.cost`."""
        return self._segmenter.cost(prompts)


class CropEmbedder(Protocol):
    """What gives instances an embedding that is compared with words.

    Attributes:
        name: of the method that it makes.
    """

    name: str

    def embed(self, image: Pixels, segmented: Segmented) -> npt.NDArray[np.float32]:
        """(N, D) float32, not normalised; zeros where a mask is empty."""
        ...

    def cost(self, prompts: int) -> Cost:
        """Of embedding that many instances, masks not counted."""
        ...


class SharedEmbedder:
    """An embedder's answers to one segmenter's masks, made once for all vocabularies and contexts.

    Attributes:
        embed: (image, prompts) -> the instances and their (N, D) unit embeddings; its time is the
            embedder's own.
    """

    def __init__(self, segmenter: Segmenter, embedder: CropEmbedder) -> None:
        self.segmenter = segmenter
        self.embedder = embedder
        self.embed = Shared(self._embed)

    def _embed(self, image: Pixels, prompts: tuple[Prompt, ...]) -> Instances:
        segmented = self.segmenter.segment(image, prompts).value
        embeddings = unit(self.embedder.embed(image, segmented))
        return replace(segmented.instances, head_embeddings=embeddings, clip_embeddings=embeddings)


class CropMethod:
    """Masks of a segmenter, named by what an embedder sees in them.

    Args:
        name: of the row.
        instances: masks and embeddings, shared between methods.
        recognizer: names them; see `building.single_branch`.
    """

    def __init__(self, name: str, instances: SharedEmbedder, recognizer: Recognizer) -> None:
        self.name = name
        self._instances = instances
        self._recognizer = recognizer
        self.seconds = 0.0

    def label(self, image: Pixels, prompts: Sequence[Prompt]) -> tuple[Instances, Recognition]:
        """See `Method.label`."""
        masks = self._instances.segmenter.segment(image, prompts)
        instances = self._instances.embed(image, prompts)
        start = time.perf_counter()
        names = self._recognizer(instances.value)
        self.seconds = masks.seconds + instances.seconds + time.perf_counter() - start
        return instances.value, names

    def cost(self, prompts: int) -> Cost:
        """See `Method.cost`."""
        return self._instances.segmenter.cost(prompts) + self._instances.embedder.cost(prompts)
