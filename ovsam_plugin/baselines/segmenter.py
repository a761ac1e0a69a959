"""Masks for prompts, made once an image however many methods name them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.network.cost import Cost, count_network
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.predictor import Encoding, Predictor
from ovsam_plugin.prediction.prompts import Prompt

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Timed(Generic[T]):
    """What some work gave.

    Attributes:
        value: it.
        seconds: that the work took when it was done.
    """

    value: T
    seconds: float


class Shared(Generic[T]):
    """Work on an image and its prompts whose last answer is kept.

    Methods that need the same work ask one after the other for the same image, so one answer is
    enough; its time is reported to each of them, as if each had done the work alone.

    Args:
        work: takes the image and the prompts; must not change them.
    """

    def __init__(self, work: Callable[[Pixels, tuple[Prompt, ...]], T]) -> None:
        self._work = work
        self._last: tuple[Pixels, tuple[Prompt, ...], Timed[T]] | None = None

    def __call__(self, image: Pixels, prompts: Sequence[Prompt]) -> Timed[T]:
        """The answer for this very array (it is known by identity) and equal prompts."""
        asked = tuple(prompts)
        if self._last is None or self._last[0] is not image or self._last[1] != asked:
            self._last = None  # frees what is kept before more is made
            start = time.perf_counter()
            value = self._work(image, asked)
            self._last = (image, asked, Timed(value, time.perf_counter() - start))
        return self._last[2]


@dataclass(frozen=True, eq=False)
class Segmented:
    """The masks of one image.

    Attributes:
        instances: one a prompt, in their order.
        encoding: of the image by a preset's network; None when the masks come from elsewhere.
    """

    instances: Instances
    encoding: Encoding | None = None


class Segmenter(Protocol):
    """Anything that answers prompts with masks.

    Attributes:
        segment: (image, prompts) -> `Segmented`, with its time; shared between methods.
    """

    segment: Shared[Segmented]

    def cost(self, prompts: int) -> Cost:
        """Of one image with that many box prompts."""
        ...


class PresetSegmenter:
    """The masks of a preset's own network.

    Args:
        predictor: with its weights.
        chunk: prompts decoded at once.
    """

    def __init__(self, predictor: Predictor, chunk: int) -> None:
        self.predictor = predictor
        self.chunk = chunk
        self.segment = Shared(self._segment)

    def _segment(self, image: Pixels, prompts: tuple[Prompt, ...]) -> Segmented:
        (encoding,) = self.predictor.encode([self.predictor.preprocess(image)])
        return Segmented(self.predictor.decode(encoding, prompts, self.chunk), encoding)

    def cost(self, prompts: int) -> Cost:
        """All of the network, with the embeddings that it makes beside the masks."""
        return count_network(self.predictor.network.description, prompts)
