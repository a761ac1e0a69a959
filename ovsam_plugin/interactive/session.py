"""One photograph, and what a person points at: every click is cut out and named.

session = ovsam_plugin.open_image("cat.jpg", vocabulary="cat, dog, cushion")
session.click(260, 180)
session.instance.label, session.instance.mask
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ovsam_plugin.interactive.shared_network import (
    Answers,
    Photograph,
    SharedNetwork,
    load_shared_network,
)
from ovsam_plugin.prediction.prompts import Box, Points, Prompt
from ovsam_plugin.presets import Preset
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance of a photograph, cut out and named.

    Attributes:
        answers: it alone, as the library gives it, with its embeddings.
    """

    answers: Answers

    @property
    def prompt(self) -> Prompt:
        """What asked for it."""
        return self.answers.instances.prompts[0]

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, at the photograph's own size."""
        return self.answers.instances.full_mask(0)

    @property
    def crop(self) -> npt.NDArray[np.bool_]:
        """(h, w) bool: the mask inside its box."""
        return self.answers.instances.masks[0]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The mask's own, xyxy in pixels, x2 and y2 exclusive; zeros where nothing was found."""
        x1, y1, x2, y2 = self.answers.instances.boxes[0].tolist()
        return x1, y1, x2, y2

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return bool(self.answers.instances.empty[0])

    @property
    def label(self) -> str:
        """The best name of the vocabulary."""
        return self.answers.names.names[0]

    @property
    def names(self) -> tuple[tuple[str, float], ...]:
        """The best names, at most five, with their probabilities, 0 to 1."""
        names = self.answers.names
        return tuple(zip(names.top_names[0], names.top_scores[0].tolist()))

    @property
    def confidence(self) -> float:
        """Probability of the best name, 0 to 1."""
        return float(self.answers.names.confidence[0])

    @property
    def objectness(self) -> float:
        """How surely it is one whole thing, well cut out, 0 to 1."""
        return float(self.answers.instances.objectness[0])

    @property
    def stability(self) -> float:
        """IoU of the mask thresholded a little higher and a little lower, 0 to 1."""
        return float(self.answers.instances.stability[0])


class Session:
    """What one person does on one photograph. See `open_image`.

    The network's encoder has seen the photograph once; no answer needs it again. Any number of
    sessions may be used at the same time from different threads, each of them from one.

    Args:
        network: that answers.
        photograph: what is asked about.
        vocabulary: that instances are named from.
    """

    def __init__(
        self, network: SharedNetwork, photograph: Photograph, vocabulary: Vocabulary
    ) -> None:
        self._network = network
        self._photograph = photograph
        self.vocabulary = vocabulary
        self._steps: list[Instance] = []

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the photograph in pixels, its EXIF orientation applied."""
        return self._network.size(self._photograph)

    @property
    def instance(self) -> Instance | None:
        """What has been clicked so far; None before the first click."""
        return self._steps[-1] if self._steps else None

    def click(self, x: float, y: float, on: bool = True) -> Instance:
        """Adds a point to the instance, or begins one.

        After a box, or an instance that was taken up, a click begins anew.

        Args:
            x, y: in pixels of the photograph.
            on: whether the point is on the instance; False takes away what is there.

        Returns:
            the instance as it is now.

        Raises:
            ValueError: the point lies outside, or the first one takes away.
        """
        return self.take(self._answer(self._clicked(x, y, on)))

    def box(self, x1: float, y1: float, x2: float, y2: float) -> Instance:
        """The one thing in a box, in place of what was clicked.

        Args:
            x1, y1, x2, y2: in pixels of the photograph.

        Returns:
            the instance as it is now.

        Raises:
            ValueError: the box is empty or lies outside.
        """
        return self.take(self._answer(Box((x1, y1, x2, y2))))

    def hover(self, x: float, y: float) -> Instance:
        """What `click` would give; nothing changes.

        Args:
            x, y: in pixels of the photograph.

        Returns:
            the instance that it would be.

        Raises:
            ValueError: the point lies outside.
        """
        return self._answer(self._clicked(x, y, True))

    def take(self, instance: Instance) -> Instance:
        """Goes on with an instance, such as one of `candidates` or of `everything()`.

        Args:
            instance: of this photograph.

        Returns:
            it.
        """
        self._steps.append(instance)
        return instance

    def undo(self) -> Instance | None:
        """Takes back the last click, box or choice.

        Returns:
            what is left; None where nothing is.
        """
        if self._steps:
            self._steps.pop()
        return self.instance

    def clear(self) -> None:
        """Forgets all clicks."""
        self._steps.clear()

    @property
    def candidates(self) -> tuple[Instance, ...]:
        """Smaller and larger things that the first click may mean, smallest first."""
        if self.instance is None:
            return ()
        prompt = self.instance.prompt
        return _each(self._network.candidates(self._photograph, prompt, self.vocabulary))

    def everything(self) -> tuple[Instance, ...]:
        """All instances of the photograph, the surest first.

        Returns:
            an instance each.
        """
        return _each(self._network.everything(self._photograph, self.vocabulary))

    def find(self, words: str) -> tuple[Instance, ...]:
        """The instances that fit some words, such as "a red cup", the best first.

        Args:
            words: one or more.

        Returns:
            an instance each; none where nothing fits.

        Raises:
            ValueError: there are no words.
        """
        return _each(self._network.everything(self._photograph, self.vocabulary, words))

    def names(
        self, vocabulary: str | Path | Sequence[str] | Vocabulary | None = None
    ) -> tuple[tuple[str, float], ...]:
        """The instance's best names and their probabilities; empty before the first click.

        Args:
            vocabulary: another one, as for `load_vocabulary`; from now on it is the session's.

        Returns:
            (name, probability 0 to 1) of each, the best first.

        Raises:
            ValueError: there is no such vocabulary.
        """
        if vocabulary is not None:
            self.vocabulary = load_vocabulary(vocabulary)
            rename = self._network.rename
            self._steps = [Instance(rename(s.answers, self.vocabulary)) for s in self._steps]
        return () if self.instance is None else self.instance.names

    def _clicked(self, x: float, y: float, on: bool) -> Prompt:
        more = None if self.instance is None else self.instance.prompt.clicked(x, y, on)
        return more or Points(((x, y),), (int(on),))

    def _answer(self, prompt: Prompt) -> Instance:
        return Instance(self._network.answer(self._photograph, prompt, self.vocabulary))


def open_image(
    source: str | os.PathLike[str] | npt.NDArray[np.uint8],
    *,
    vocabulary: str | Path | Sequence[str] | Vocabulary = "lvis",
    preset: str | Preset = "ovsam-lite",
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Session:
    """A photograph to click on; it is encoded here, unless another session has done so lately.

    Args:
        source: an image file, or an (H, W, 3) uint8 RGB array, which must not be changed later.
        vocabulary: the names, as for `load_vocabulary`.
        preset: which model.
        weights: a .safetensors file of the assembled model; the preset's own when None.
        device: "auto", "cpu", "cuda", ...

    Returns:
        what the person does on it.

    Raises:
        ImageError: the file is missing or cannot be read.
        TypeError, ValueError: an array of another kind; an unknown preset, vocabulary or device.
        FileNotFoundError: the weights are not on this machine.
    """
    network = load_shared_network(preset, device=device, weights=weights)
    session = Session(network, Photograph.of(source), load_vocabulary(vocabulary))
    network.encode(session._photograph)
    return session


def _each(answers: Answers) -> tuple[Instance, ...]:
    return tuple(Instance(answers[[i]]) for i in range(len(answers)))
