"""What gives instances the embeddings that words are compared with, whoever drew their masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.namers.cuts import Cut
from ovsam_plugin.recognition.text_side import TextSide


@dataclass(frozen=True, eq=False)
class Masked:
    """A photograph and the instances on it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        crops: N masks in their places; an empty one gets zeros for an embedding.

    Raises:
        ValueError: a mask does not lie on the photograph.
    """

    pixels: Pixels
    crops: Sequence[MaskCrop]

    def __post_init__(self) -> None:
        height, width = self.pixels.shape[:2]
        for crop in self.crops:
            x1, y1, x2, y2 = crop.box
            if crop.area and (x1 < 0 or y1 < 0 or x2 > width or y2 > height):
                raise ValueError(
                    f"the mask {crop.box} does not lie on the {width} x {height} photograph"
                )


class Branches(NamedTuple):
    """Two embeddings of each of N instances; the same twice from a model that makes one.

    Attributes:
        head, clip: (N, D) float32, unit length; zeros for empty masks.
    """

    head: npt.NDArray[np.float32]
    clip: npt.NDArray[np.float32]


class Namer(Protocol):
    """Photographs and masks in, embeddings and the text side that goes with them out.

    Attributes:
        side: how names are read for these embeddings.
        fingerprint: hex digest that changes when the embeddings of the same masks do.
    """

    @property
    def side(self) -> TextSide: ...
    @property
    def fingerprint(self) -> str: ...

    def embed(self, photographs: Sequence[Masked]) -> list[Branches]:
        """The embeddings of each photograph's instances, those of all looked at together."""
        ...


@dataclass(frozen=True)
class NamerKind:
    """Namers that are loaded the same way: a row of `table.NAMERS`.

    Attributes:
        told: what their names look like, for a message.
        claims: whether a name is one of theirs.
        canonical: a name -> itself, as any process finds it; raises ValueError or ImportError where
            there is no such namer.
        side: a name -> how names are read for it.
        fingerprint: a name and cuts -> digest of its embeddings, without loading it; None where
            only the weights tell.
        load: a name, cuts and a device -> the namer with its weights.
        cuts: whether it looks at cut-outs of instances, and not at whole photographs.
    """

    told: str
    claims: Callable[[str], bool]
    canonical: Callable[[str], str]
    side: Callable[[str], TextSide]
    fingerprint: Callable[[str, tuple[Cut, ...]], str | None]
    load: Callable[[str, tuple[Cut, ...], str], Namer]
    cuts: bool
