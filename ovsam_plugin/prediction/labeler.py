"""The whole way for one photograph: prompts in, instances with names and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ovsam_plugin.checkpoints.store import classifier_file
from ovsam_plugin.hardware.precision import Precision
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.namers.namer import Masked, Namer
from ovsam_plugin.prediction.choosing import choose
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.everything import DRAWN_FOR_ALL, MOST_DRAWN, find_everything
from ovsam_plugin.prediction.instances import Instances, given
from ovsam_plugin.prediction.predictor import CHUNK, Encoding, Predictor, load_predictor
from ovsam_plugin.prediction.prompts import Grid, Prompt
from ovsam_plugin.presets import Preset
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.recognizer import Recognition, Recognizer, seen_classes
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.classifier import build_classifier, read_classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Unnamed:
    """Answers on one photograph, before they have names.

    Attributes:
        instances: at the photograph's own size.
        masks: (N, h, w) bool, side by side, where nothing was asked: which of them become
            instances depends on their names too. None of answers to prompts.
    """

    instances: Instances
    masks: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be an instance where nothing is asked.

    Attributes:
        found: N answers, their objectness judged by their names too.
        masks: (N, h, w) bool, on one grid.
        names: of the N.
    """

    found: Decoded
    masks: Tensor
    names: Recognition


class Labeler:
    """A predictor and a recognizer that belong together.

    Args:
        predictor: answers prompts.
        recognizer: names what was answered.
        min_confidence: answers below it are left out.
        min_objectness: answers below it are left out; when None, none of those that were asked
            for, and those below the preset's own when nothing was.
        all_candidates: whether, when nothing is asked, every candidate is kept in place of one
            instance a thing.
        grid: where to look when nothing is asked; the preset's own density when not given.
        chunk: prompts decoded at once.
        calibration: whose temperature the recognizer has; answers below its minimum confidence of
            their class are left out.
        namer: makes the embeddings that the recognizer names from; the predictor itself if None.

    Raises:
        ValueError: the calibration was fitted for other weights or another vocabulary.
    """

    def __init__(
        self,
        predictor: Predictor,
        recognizer: Recognizer,
        *,
        min_confidence: float = 0.0,
        min_objectness: float | None = None,
        all_candidates: bool = False,
        grid: Grid | None = None,
        chunk: int = CHUNK,
        calibration: Calibration | None = None,
        namer: Namer | None = None,
    ) -> None:
        self.namer = namer
        self.predictor = predictor
        self.recognizer = recognizer
        self.min_confidence = min_confidence
        self.min_objectness = min_objectness
        self.all_candidates = all_candidates
        self.grid = grid
        self.chunk = chunk
        self.calibration = calibration
        self._least = None if calibration is None else self._least_of(calibration)

    def with_least(self, calibration: Calibration) -> Labeler:
        """A labeler that also leaves out what is below a calibration's minimum confidences."""
        labeler = copy(self)
        labeler._least = self._least_of(calibration)
        return labeler

    def _least_of(self, calibration: Calibration) -> npt.NDArray[np.float32]:
        calibration.check(self.embedder, self.recognizer.vocabulary)
        return calibration.least(self.recognizer.vocabulary)

    @property
    def side(self) -> TextSide:
        """How names are read for the embeddings that it names from."""
        return self.predictor.preset if self.namer is None else self.namer.side

    @property
    def embedder(self) -> str:
        """A digest that changes when the embeddings of the same masks do."""
        return self.predictor.weights_hash if self.namer is None else self.namer.fingerprint

    def label(
        self,
        encoding: Encoding,
        prompts: Sequence[Prompt] | Grid | None = None,
        pixels: Pixels | None = None,
    ) -> tuple[Instances, Recognition]:
        """Instances and their names.

        Args:
            encoding: from `predictor.encode`.
            prompts: what is asked, answered in this order; a grid or None asks for everything.
            pixels: the photograph itself, for a namer.

        Raises:
            ValueError: a prompt does not lie on the photograph.
        """
        if self.namer is not None:
            assert pixels is not None
            (unnamed,) = self.embed([(pixels, self.find(encoding, prompts))])
            return self.named(unnamed)
        if prompts is None or isinstance(prompts, Grid):
            instances, names = self._everything(encoding, prompts or self.grid)
        else:
            instances = self.predictor.decode(encoding, prompts, self.chunk)
            names = self.recognizer(instances)
        return self._with_enough(instances, names)

    def is_drawn(self, prompts: Sequence[Prompt] | None) -> bool:
        """Whether a namer can answer without any look of the predictor: all masks are there."""
        drawn = prompts and all(p.drawn is not None for p in prompts)
        return self.namer is not None and bool(drawn)

    def find(
        self, encoding: Encoding | tuple[int, int], prompts: Sequence[Prompt] | Grid | None = None
    ) -> Unnamed:
        """What a namer is to look at; see `embed`.

        Args:
            encoding: of the photograph; or its (height, width), where `is_drawn`.
            prompts: as for `label`.

        Raises:
            ValueError: a prompt does not lie on the photograph.
        """
        if not isinstance(encoding, Encoding):
            assert prompts is not None
            assert not isinstance(prompts, Grid)
            return Unnamed(given(encoding, prompts))
        if prompts is None or isinstance(prompts, Grid):
            found, masks = self.look_everywhere(encoding, prompts or self.grid)
            return Unnamed(self.predictor.finish(encoding, found), masks)
        return Unnamed(self.predictor.decode(encoding, prompts, self.chunk))

    def embed(self, photographs: Sequence[tuple[Pixels, Unnamed]]) -> list[Unnamed]:
        """The same answers with the namer's embeddings, those of all photographs made together."""
        assert self.namer is not None
        crops = [[a.instances.crop(i) for i in range(len(a.instances))] for _, a in photographs]
        masked = [Masked(pixels, some) for (pixels, _), some in zip(photographs, crops)]
        return [
            replace(
                unnamed,
                instances=replace(
                    unnamed.instances, head_embeddings=found.head, clip_embeddings=found.clip
                ),
            )
            for (_, unnamed), found in zip(photographs, self.namer.embed(masked))
        ]

    def named(self, unnamed: Unnamed) -> tuple[Instances, Recognition]:
        """Instances and their names, of answers that have their embeddings."""
        instances, names = unnamed.instances, self.recognizer(unnamed.instances)
        if unnamed.masks is not None:
            objectness = self._judged(instances.objectness, names)
            instances = replace(instances, objectness=objectness)
            rows = np.array(self._order(unnamed.masks, objectness, names), dtype=np.int64)
            rows = rows[~instances.empty[rows]]
            instances, names = instances[rows], names[rows]
        return self._with_enough(instances, names)

    def look_everywhere(self, encoding: Encoding, grid: Grid | None) -> tuple[Decoded, Tensor]:
        """`find_everything` as this labeler has it."""
        drawn = DRAWN_FOR_ALL if self.all_candidates else MOST_DRAWN
        return find_everything(self.predictor, encoding, grid, self.chunk, drawn)

    def candidates(self, found: Decoded, masks: Tensor) -> Candidates:
        """Names for what was found."""
        names = self.recognizer.recognize(
            found.embeddings.head.numpy(),
            found.embeddings.clip.numpy(),
            np.zeros(len(found.prompts), dtype=bool),
        )
        judged = self._judged(found.objectness.numpy(), names)
        return Candidates(replace(found, objectness=torch.from_numpy(judged)), masks, names)

    def chosen(self, candidates: Candidates) -> list[int]:
        """Which of the candidates become instances, the surest first."""
        objectness = candidates.found.objectness.numpy()
        return self._order(candidates.masks, objectness, candidates.names)

    def _judged(
        self, objectness: npt.NDArray[np.float32], names: Recognition
    ) -> npt.NDArray[np.float32]:
        """How surely each candidate is a thing now that it has a name."""
        background = torch.from_numpy(names.background)
        judge = self.predictor.preset.found
        judged: npt.NDArray[np.float32] = judge.with_names(
            torch.from_numpy(objectness), background
        ).numpy()
        return judged

    def _order(
        self, masks: Tensor, objectness: npt.NDArray[np.float32], names: Recognition
    ) -> list[int]:
        if self.all_candidates:
            return [int(i) for i in np.argsort(-objectness, kind="stable")]
        least = self.predictor.preset.min_objectness
        least = least if self.min_objectness is None else self.min_objectness
        return choose(masks, objectness, names.indices, least)

    def _everything(self, encoding: Encoding, grid: Grid | None) -> tuple[Instances, Recognition]:
        candidates = self.candidates(*self.look_everywhere(encoding, grid))
        order = self.chosen(candidates)
        # Only what is chosen is brought to the photograph's own size.
        instances = self.predictor.finish(encoding, candidates.found[order])
        solid = ~instances.empty
        return instances[solid], candidates.names[np.array(order, dtype=np.int64)][solid]

    def _with_enough(
        self, instances: Instances, names: Recognition
    ) -> tuple[Instances, Recognition]:
        keep = self.kept(instances, names)
        return (instances, names) if keep.all() else (instances[keep], names[keep])

    def kept(self, instances: Instances, names: Recognition) -> npt.NDArray[np.bool_]:
        """Which instances are sure enough: (N,) bool."""
        keep = names.confidence >= self.min_confidence
        if self._least is not None:
            keep &= names.confidence >= self._least[names.indices]
        if self.min_objectness is not None:
            keep &= instances.objectness >= self.min_objectness
        return keep

    def label_image(
        self, image: npt.NDArray[np.uint8], prompts: Sequence[Prompt] | Grid | None = None
    ) -> tuple[Instances, Recognition]:
        """The same from an (H, W, 3) uint8 RGB photograph."""
        (encoding,) = self.predictor.encode([self.predictor.preprocess(image)])
        return self.label(encoding, prompts, image)


def build_recognizer(
    side: TextSide,
    vocabulary: str | Path | Sequence[str] | Vocabulary,
    device: str | torch.device = "cpu",
) -> Recognizer:
    """A recognizer over a vocabulary, with the text tower and the fusion of a preset or namer.

    Where a preset was published with text embeddings of LVIS, they serve for that vocabulary.

    Raises:
        ValueError: there is no such vocabulary, or it is not well formed.
    """
    classes = load_vocabulary(vocabulary)
    ready = classifier_file(side)
    if ready is not None and classes.hash == load_vocabulary("lvis").hash:
        classifier = read_classifier(ready, classes)
    else:
        classifier = build_classifier(classes, side.text_tower, side.templates, device=str(device))
    seen = seen_classes(classes, trained_names(side))
    return Recognizer(classifier, side.fusion, seen, device)


def trained_names(side: TextSide) -> set[str]:
    """Every name and synonym of the classes that a preset's head was trained on."""
    if side.seen is None:
        return set()
    name, _, part = side.seen.partition("/")
    return {
        synonym
        for category in load_vocabulary(name).categories
        if not part or category.split == part
        for synonym in (category.name, *category.synonyms)
    }


def load_labeler(
    preset: str | Preset = "ovsam-lite",
    *,
    vocabulary: str | Path | Sequence[str] | Vocabulary = "lvis",
    device: str = "auto",
    weights: Path | str | None = None,
    min_confidence: float = 0.0,
    min_objectness: float | None = None,
    all_candidates: bool = False,
    grid: Grid | None = None,
    chunk: int = CHUNK,
    calibration: Calibration | str | Path | None = None,
    precision: Precision = "auto",
) -> Labeler:
    """A labeler with its weights and its vocabulary's text embeddings loaded.

    Raises:
        ValueError: unknown preset, vocabulary, device or precision, or a calibration for others.
        FileNotFoundError: the weights are not on this machine.
    """
    predictor = load_predictor(preset, device=device, weights=weights, precision=precision)
    recognizer = build_recognizer(predictor.preset, vocabulary, predictor.device)
    calibration = Calibration.of(calibration)
    if calibration is not None:
        recognizer = recognizer.at_temperature(calibration.temperature)
    return Labeler(
        predictor,
        recognizer,
        min_confidence=min_confidence,
        min_objectness=min_objectness,
        all_candidates=all_candidates,
        grid=grid,
        chunk=chunk,
        calibration=calibration,
    )
