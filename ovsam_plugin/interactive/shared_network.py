"""A network that several people ask at once: photographs encoded once, prompts answered in turn.

An answer depends on the photograph, the prompt and the vocabulary alone. What a person did so far
is kept by who asks (`session`, the panel in the browser), so nobody sees anything of another.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import box_iou

from ovsam_plugin.images.frame import make_frame
from ovsam_plugin.images.reading import ImageError, Picture, read_picture
from ovsam_plugin.interactive.encoded_files import EncodedFiles
from ovsam_plugin.interactive.encodings import MOST_BYTES, Encodings
from ovsam_plugin.interactive.inference_thread import InferenceThread
from ovsam_plugin.prediction.finding import MIN_MATCH, Finder, build_finder
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.labeler import Labeler, build_recognizer
from ovsam_plugin.prediction.predictor import Encoding, Predictor, load_predictor
from ovsam_plugin.prediction.prompts import Prompt
from ovsam_plugin.prediction.proposing import boxes_at, proposals_of_all_sizes
from ovsam_plugin.presets import Preset
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.cache import cache_directory
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

# Candidates whose boxes have a larger IoU are one.
_SAME = 0.8
_VOCABULARIES = 8

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Photograph:
    """What is asked about.

    Attributes:
        key: tells it from others: a file's path, time and size; of an array, its own.
        read: gives the pixels, decoded no larger than the network needs.
    """

    key: Hashable
    read: Callable[[int | None], Picture]

    @property
    def is_file(self) -> bool:
        """Whether the key means the same to another process."""
        return isinstance(self.key, tuple)

    @classmethod
    def of(cls, source: str | os.PathLike[str] | npt.NDArray[np.uint8]) -> Photograph:
        """An image file, or an (H, W, 3) uint8 RGB array, which must not be changed later.

        Raises:
            ImageError: there is no such file.
        """
        if isinstance(source, np.ndarray):
            pixels: npt.NDArray[np.uint8] = source
            size = (pixels.shape[0], pixels.shape[1]) if pixels.ndim > 1 else (0, 0)
            return cls(object(), lambda _: Picture(pixels, size))
        path = Path(source).expanduser().absolute()
        try:
            stat = path.stat()
        except OSError as error:
            raise ImageError(f"there is no file {path}: {error.strerror}") from None
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        return cls(key, lambda longest: read_picture(path, longest))


@dataclass(frozen=True, eq=False)
class Answers:
    """N instances of a photograph with their names, in one order."""

    instances: Instances
    names: Recognition

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, keep: Sequence[int]) -> Answers:
        """Some of them, in this order."""
        order = np.array(keep, dtype=np.int64)
        return Answers(self.instances[order], self.names[order])


class SharedNetwork:
    """Answers prompts on photographs, for any number of threads.

    Args:
        predictor: with its network.
        most_bytes: that encodings may take in memory.
        files: where photographs that were encoded beforehand lie; nowhere when None.
    """

    def __init__(
        self,
        predictor: Predictor,
        most_bytes: int = MOST_BYTES,
        files: EncodedFiles | None = None,
    ) -> None:
        self.predictor = predictor
        self.encodings = Encodings(most_bytes)
        self.files = files
        self._thread = InferenceThread()
        self._labeler = lru_cache(_VOCABULARIES)(self._build_labeler)
        self._finder = lru_cache(_VOCABULARIES)(self._build_finder)

    def encode(self, photograph: Photograph) -> Encoding:
        """The photograph's encoding with its proposals, made if it must be.

        Raises:
            ImageError: it cannot be read.
        """
        kept = self.encodings.get(photograph.key)
        if kept is not None:
            return kept
        # Read here, so that nobody else waits for the disk.
        return self._thread.run(self._encoding_of(photograph))

    def encode_ahead(self, photograph: Photograph) -> None:
        """Encodes it when nobody waits; one that cannot be read is told when it is asked for."""
        if self.encodings.get(photograph.key) is None:
            with contextlib.suppress(ImageError):
                self._thread.run_ahead(self._encoding_of(photograph))

    def settle(self) -> None:
        """Waits until all that was asked ahead is done."""
        self._thread.settle()

    def size(self, photograph: Photograph) -> tuple[int, int]:
        """(height, width) in pixels. Raises: as `encode`."""
        return self.encode(photograph).frame.original_size

    def answer(self, photograph: Photograph, prompt: Prompt, vocabulary: Vocabulary) -> Answers:
        """The instance that a prompt means.

        Raises:
            ImageError: as `encode`.
            ValueError: the prompt does not lie on the photograph.
        """
        return self._label(self.encode(photograph), [prompt], vocabulary)

    def preview(
        self, photograph: Photograph, prompt: Prompt, vocabulary: Vocabulary, longest_side: int
    ) -> Answers:
        """The same for one prompt, on a photograph of no more pixels along its longer side.

        Mask and boxes are in those pixels; the prompt is in the photograph's own.
        """
        encoding, factor = _reduced(self.encode(photograph), longest_side)
        return self._label(encoding, [prompt.mapped(lambda xy: xy * factor)], vocabulary)

    def candidates(self, photograph: Photograph, prompt: Prompt, vocabulary: Vocabulary) -> Answers:
        """What else may be meant: things of several sizes under the first point, smallest first.

        The prompt's own answer is among them.
        """
        encoding, prompts = self.encode(photograph), [prompt]
        point = prompt.pointed_at
        if point is not None:
            prompts += self._thread.run(lambda: boxes_at(self.predictor, encoding, *point))
        found = self._label(encoding, prompts, vocabulary)
        boxes = torch.from_numpy(found.instances.boxes).double()
        overlap, kept = box_iou(boxes, boxes), [0]
        for i in range(1, len(found)):
            apart = bool((overlap[i, kept] <= _SAME).all())
            if apart and point is not None and _holds(found.instances, i, *point):
                kept.append(i)
        areas = [int(found.instances.masks[i].sum()) for i in kept]
        return found[[kept[i] for i in np.argsort(areas, kind="stable")]]

    def everything(
        self,
        photograph: Photograph,
        vocabulary: Vocabulary,
        words: str | None = None,
    ) -> Answers:
        """All instances; or those that fit some words, the best first.

        Raises:
            ImageError: as `encode`.
            ValueError: there are no words.
        """
        finder: Finder | None = None if words is None else self._finder(words)
        found = self._label(self.encode(photograph), None, vocabulary)
        if finder is None:
            return found
        match = finder.match(found.instances)
        order = [int(i) for i in np.argsort(-match, kind="stable") if match[i] >= MIN_MATCH]
        return found[order]

    def rename(self, answers: Answers, vocabulary: Vocabulary) -> Answers:
        """The same instances, named from another vocabulary; nothing is drawn anew."""
        recognizer = self._labeler(vocabulary).recognizer
        names = self._thread.run(lambda: recognizer(answers.instances))
        return Answers(answers.instances, names)

    def _encoding_of(self, photograph: Photograph) -> Callable[[], Encoding]:
        """Reads the photograph, or its encoding; what is left to do for it."""
        if self.files is not None and photograph.is_file:
            read = self.files.read(photograph.key, self.predictor.device)
            if read is not None:
                self.encodings.put(photograph.key, read)
                return lambda: read
        described = self.predictor.network.description
        picture = photograph.read(described.image_size)
        frame = make_frame(picture.pixels, described, picture.size)

        def encode() -> Encoding:
            kept = self.encodings.get(photograph.key)
            if kept is not None:  # two asked at once
                return kept
            (encoding,) = self.predictor.encode([frame])
            encoding = replace(encoding, proposals=self.predictor.proposals(encoding))
            proposed = proposals_of_all_sizes(self.predictor, encoding)
            encoding = replace(encoding, all_proposals=proposed)
            self.encodings.put(photograph.key, encoding)
            return encoding

        return encode

    def _label(
        self, encoding: Encoding, prompts: Sequence[Prompt] | None, vocabulary: Vocabulary
    ) -> Answers:
        labeler = self._labeler(vocabulary)
        return Answers(*self._thread.run(lambda: labeler.label(encoding, prompts)))

    def _build_finder(self, words: str) -> Finder:
        return build_finder(self.predictor.preset, words, self.predictor.device)

    def _build_labeler(self, vocabulary: Vocabulary) -> Labeler:
        predictor = self.predictor
        recognizer = build_recognizer(predictor.preset, vocabulary, predictor.device)
        return Labeler(predictor, recognizer)


_loading = threading.Lock()


def load_shared_network(
    preset: str | Preset = "ovsam-lite",
    *,
    device: str = "auto",
    weights: str | os.PathLike[str] | None = None,
) -> SharedNetwork:
    """The network of a preset; one for all who ask for the same.

    Raises:
        ValueError: no such preset or device, or the weights do not fit.
        FileNotFoundError: the weights are not on this machine.
    """
    with _loading:
        return _shared(preset, device, None if weights is None else str(weights))


@lru_cache(maxsize=2)
def _shared(preset: str | Preset, device: str, weights: str | None) -> SharedNetwork:
    predictor = load_predictor(preset, device=device, weights=weights)
    return SharedNetwork(
        predictor, files=EncodedFiles(encodings_directory(), predictor.weights_hash)
    )


def encodings_directory() -> Path:
    """Where photographs that were encoded beforehand lie."""
    return cache_directory() / "encodings"


@lru_cache(maxsize=32)
def vocabulary_named(spec: str) -> Vocabulary:
    """`load_vocabulary` of a text, read once."""
    return load_vocabulary(spec)


def _reduced(encoding: Encoding, longest_side: int) -> tuple[Encoding, npt.NDArray[np.float64]]:
    """The encoding as if the photograph were no larger, and its size by that of the photograph's.

    Masks are brought to the photograph's size last, so that is all that changes.
    """
    height, width = encoding.frame.original_size
    shrink = min(1.0, longest_side / max(height, width))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    frame = replace(encoding.frame, original_size=size, tiles=())
    factor = np.array([size[1] / width, size[0] / height])
    return replace(encoding, frame=frame, tiles=()), factor


def _holds(instances: Instances, index: int, x: float, y: float) -> bool:
    """Whether a mask has the pixel."""
    x1, y1, x2, y2 = instances.boxes[index].tolist()
    inside = x1 <= x < x2 and y1 <= y < y2
    return inside and bool(instances.masks[index][int(y) - y1, int(x) - x1])
