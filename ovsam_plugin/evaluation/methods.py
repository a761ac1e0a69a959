"""What is evaluated: anything that answers prompts on an image with masks and names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ovsam_plugin.instances import Instances
from ovsam_plugin.labeler import Labeler
from ovsam_plugin.network.cost import Cost, count, total
from ovsam_plugin.prompts import Prompt
from ovsam_plugin.recognition import Recognition

METHODS = ("ovsam",)
"""Every name of a method."""


class Method(Protocol):
    """One row of the table.

    Attributes:
        name: of the row.
        seconds: that the last `label` took.
    """

    name: str
    seconds: float

    def label(
        self, image: npt.NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> tuple[Instances, Recognition | None]:
        """One instance a prompt of an (H, W, 3) RGB image, in their order; names, if it gives any.

        Raises:
            ValueError: a prompt does not lie on the image.
        """
        ...

    def cost(self, prompts: int) -> Cost:
        """Of one image with that many box prompts."""
        ...


class Ovsam:
    """The network itself."""

    def __init__(self, labeler: Labeler, name: str = "ovsam") -> None:
        self.name = name
        self.seconds = 0.0
        self._labeler = labeler

    def label(
        self, image: npt.NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> tuple[Instances, Recognition]:
        """See `Method.label`."""
        start = time.perf_counter()
        answer = self._labeler.label_image(image, prompts)
        self.seconds = time.perf_counter() - start
        return answer

    def cost(self, prompts: int) -> Cost:
        """See `Method.cost`."""
        whole = total(count(self._labeler.predictor.network.description, prompts))
        return Cost(whole.parameters, whole.multiply_adds)


def build_methods(
    names: Sequence[str], labeler: Labeler, contexts: Sequence[Path] = ()
) -> list[Method]:
    """Methods over one labeler.

    Args:
        names: of `METHODS`.
        labeler: the network, and the vocabulary to name from.
        contexts: files of learned contexts, for methods that use one.

    Raises:
        ValueError: there is no such method.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise ValueError(f"unknown method {unknown[0]!r}: there are {', '.join(METHODS)}")
    return [Ovsam(labeler) for _ in names]
