"""What every kind of prompt is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import MaskCrop

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

Inputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""What `Prompt.inputs(size, frame)` gives: arrays by the fields of `network.PromptBatch`, without
its first axis, in pixels of the frame: the photograph, of that size, as it is resized for the
encoder. A mask is (h, w) float32 there: how much of each pixel of the frame it covers."""

Mapping: TypeAlias = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""(N, 2) x and y in pixels of one picture to those of another."""


class Prompt(ABC):
    """What a person or another model points at; a kind of prompt is a class below this one.

    All coordinates are pixels of the original image, x to the right and y down, with (0, 0) at the
    top-left corner of the top-left pixel. A prompt checks itself when it is made; whether it lies
    on a given image is checked by `on_image`, since only then the image's size is known.

    Attributes:
        kind: its name in labels.
        id: whatever names the label that asks; returned with the answer.
    """

    kind: ClassVar[str]
    id: str | None

    @abstractmethod
    def on_image(self, width: int, height: int) -> Prompt:
        """This prompt, cut to the image where it may reach over its edge.

        Raises:
            ValueError: it does not lie on the image.
        """

    @abstractmethod
    def mapped(self, to: Mapping) -> Prompt:
        """The same prompt on another picture of the same things.

        Raises:
            TypeError: it has no meaning there.
        """

    @abstractmethod
    def inputs(self, size: Size, frame: Size) -> Inputs:
        """What the network reads; see `Inputs`."""

    @property
    def shape(self) -> tuple[str, int]:
        """Prompts of one shape are decoded together: their inputs have the same names and shapes,
        and `drawn` and `within` are None in all of them or in none."""
        return self.kind, 0

    @property
    def drawn(self) -> MaskCrop | None:
        """The mask that is the answer already; None, since one has to be found."""
        return None

    @property
    def within(self) -> tuple[float, float, float, float] | None:
        """The box that the whole thing lies in, xyxy; None where it is not known."""
        return None

    @property
    def pointed_at(self) -> tuple[float, float] | None:
        """A point of the thing, where the prompt may mean a part or the whole of it; else None."""
        return None

    def clicked(self, x: float, y: float, on: bool) -> Prompt | None:
        """This prompt with one more click, on the thing or off it; None where it takes none."""
        return None

    def numbers(self) -> list[float]:
        """What a label keeps of it; nothing where the label has it all."""
        return []

    def to_json(self) -> dict[str, Any]:
        """What the panel "Segment" draws of it."""
        return {}


def factors(size: Size, frame: Size) -> npt.NDArray[np.float64]:
    """(2,) factors of x and y from a photograph to its frame."""
    return np.array([frame[1] / size[1], frame[0] / size[0]])
