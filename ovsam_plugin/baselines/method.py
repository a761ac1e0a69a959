"""Ways to turn prompts into masks and names, side by side: what an evaluation compares."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from ovsam_plugin.baselines.segmenter import Pixels, PresetSegmenter, Segmenter
from ovsam_plugin.instances import Instances
from ovsam_plugin.labeler import Labeler
from ovsam_plugin.network.cost import Cost
from ovsam_plugin.prompts import Prompt
from ovsam_plugin.recognition import Recognition, Recognizer

OVSAM, SAM = "ovsam", "sam"
METHODS = (OVSAM, SAM)
"""Every name of a method."""


class Method(Protocol):
    """One row of a comparison.

    Attributes:
        name: one of `METHODS`, or of one's own.
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


def build_methods(names: Sequence[str], labeler: Labeler) -> list[Method]:
    """Methods over one labeler's network and vocabulary, which share what work they can.

    Args:
        names: of `METHODS`.
        labeler: the network, and the vocabulary to name from.

    Raises:
        ValueError: there is no such method.
    """
    segmenter = PresetSegmenter(labeler.predictor, labeler.chunk)
    methods: list[Method] = []
    for name in names:
        if name == OVSAM:
            methods.append(Ovsam(segmenter, labeler.recognizer))
        elif name == SAM:
            methods.append(MasksAlone(segmenter))
        else:
            raise ValueError(f"unknown method {name!r}: there are {', '.join(METHODS)}")
    return methods
