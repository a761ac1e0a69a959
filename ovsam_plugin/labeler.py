"""The whole way for one photograph: prompts in, instances with names and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ovsam_plugin.calibration import Calibration
from ovsam_plugin.choosing import choose
from ovsam_plugin.decoded import Decoded
from ovsam_plugin.everything import find_everything
from ovsam_plugin.instances import Instances
from ovsam_plugin.predictor import CHUNK, Encoding, Predictor, load_predictor
from ovsam_plugin.presets import Preset
from ovsam_plugin.prompts import Grid, Prompt
from ovsam_plugin.published.store import classifier_file
from ovsam_plugin.recognition import Recognition, Recognizer, seen_classes
from ovsam_plugin.vocabulary.classifier import build_classifier, read_classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


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
        calibration: whose temperature the recognizer has; answers below its least confidence of
            their class are left out.

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
    ) -> None:
        self.predictor = predictor
        self.recognizer = recognizer
        self.min_confidence = min_confidence
        self.min_objectness = min_objectness
        self.all_candidates = all_candidates
        self.grid = grid
        self.chunk = chunk
        self.calibration = calibration
        self._least: npt.NDArray[np.float32] | None = None
        if calibration is not None:
            calibration.check(predictor.weights_hash, recognizer.vocabulary)
            self._least = calibration.least(recognizer.vocabulary)

    def label(
        self, encoding: Encoding, prompts: Sequence[Prompt] | Grid | None = None
    ) -> tuple[Instances, Recognition]:
        """Instances and their names.

        Args:
            encoding: from `predictor.encode`.
            prompts: what is asked, answered in this order; a grid or None asks for everything.

        Raises:
            ValueError: a prompt does not lie on the photograph.
        """
        if prompts is None or isinstance(prompts, Grid):
            instances, names = self._everything(encoding, prompts or self.grid)
        else:
            instances = self.predictor.decode(encoding, prompts, self.chunk)
            names = self.recognizer(instances)
        keep = self.kept(instances, names)
        return (instances, names) if keep.all() else (instances[keep], names[keep])

    def candidates(self, found: Decoded, masks: Tensor) -> Candidates:
        """Names for what `find_everything` gives."""
        names = self.recognizer.recognize(
            found.embeddings.head.numpy(),
            found.embeddings.clip.numpy(),
            np.zeros(len(found.prompts), dtype=bool),
        )
        judge, background = self.predictor.preset.found, torch.from_numpy(names.background)
        found = replace(found, objectness=judge.with_names(found.objectness, background))
        return Candidates(found, masks, names)

    def chosen(self, candidates: Candidates) -> list[int]:
        """Which of the candidates become instances, the surest first."""
        objectness = candidates.found.objectness.numpy()
        if self.all_candidates:
            return [int(i) for i in np.argsort(-objectness, kind="stable")]
        least = self.predictor.preset.min_objectness
        least = least if self.min_objectness is None else self.min_objectness
        return choose(candidates.masks, objectness, candidates.names.indices, least)

    def _everything(self, encoding: Encoding, grid: Grid | None) -> tuple[Instances, Recognition]:
        found = find_everything(self.predictor, encoding, grid, self.chunk)
        candidates = self.candidates(*found)
        order = self.chosen(candidates)
        # Only what is chosen is brought to the photograph's own size.
        instances = self.predictor.finish(encoding, candidates.found[order])
        solid = ~instances.empty
        return instances[solid], candidates.names[np.array(order, dtype=np.int64)][solid]

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
        return self.label(encoding, prompts)


def build_recognizer(
    preset: Preset,
    vocabulary: str | Path | Sequence[str] | Vocabulary,
    device: str | torch.device = "cpu",
) -> Recognizer:
    """A recognizer over a vocabulary, with the text tower and the fusion of a preset.

    Where the preset was published with text embeddings of LVIS, they serve for that vocabulary.

    Raises:
        ValueError: there is no such vocabulary, or it is not well formed.
    """
    classes = load_vocabulary(vocabulary)
    ready = classifier_file(preset)
    if ready is not None and classes.hash == load_vocabulary("lvis").hash:
        classifier = read_classifier(ready, classes)
    else:
        classifier = build_classifier(
            classes, preset.text_tower, preset.templates, device=str(device)
        )
    seen = seen_classes(classes, trained_names(preset))
    return Recognizer(classifier, preset.fusion, seen, device)


def trained_names(preset: Preset) -> set[str]:
    """Every name and synonym of the classes that a preset's head was trained on."""
    name, _, part = preset.seen.partition("/")
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
) -> Labeler:
    """A labeler with its weights and its vocabulary's text embeddings loaded.

    Raises:
        ValueError: unknown preset, vocabulary or device, or a calibration for others.
        FileNotFoundError: the weights are not on this machine.
    """
    predictor = load_predictor(preset, device=device, weights=weights)
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
