"""Methods by their names, over one network or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ovsam_plugin.baselines.context import Context, context_classifier
from ovsam_plugin.baselines.feature_crop import FeatureCrop
from ovsam_plugin.baselines.image_crop import ImageCrop
from ovsam_plugin.baselines.method import (
    OVSAM,
    SAM,
    CropEmbedder,
    CropMethod,
    MasksAlone,
    Method,
    Ovsam,
    SharedEmbedder,
)
from ovsam_plugin.baselines.segmenter import PresetSegmenter, Segmenter
from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.recognition import text_side
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower

COOP = "+coop"
_CROPS = (ImageCrop.name, FeatureCrop.name)
METHODS = (*_CROPS, *(name + COOP for name in _CROPS), OVSAM, SAM)
"""Every name of a method, in the order of the paper's table."""


@dataclass(frozen=True, eq=False)
class Naming:
    """What the crop baselines name from.

    Attributes:
        classifier: the vocabulary in plain words.
        scale: what cosines are multiplied by before the softmax.
        text_tower: that reads the vocabulary after a learned context.
        device: where all of this runs.
    """

    classifier: Classifier
    scale: float
    text_tower: str | TextTower
    device: str


def shared_embedders(labeler: Labeler) -> dict[str, SharedEmbedder]:
    """Both crop baselines' embedders over a preset's own masks and frozen encoder, by name."""
    segmenter = PresetSegmenter(labeler.predictor, labeler.chunk)
    return embedders_of(segmenter, Tower.of(labeler.predictor), shared=True)


def build_methods(
    names: Sequence[str], labeler: Labeler, contexts: Sequence[Context | str | Path] = ()
) -> list[Method]:
    """Methods over one labeler's network and vocabulary, which share what work they can.

    Args:
        names: of `METHODS`.
        labeler: the network, and the vocabulary to name from.
        contexts: learned contexts, or their files, for the methods whose name ends in "+coop".

    Raises:
        FileNotFoundError: a context's file does not exist.
        ValueError: there is no such method, or no context for it.
    """
    predictor, recognizer = labeler.predictor, labeler.recognizer
    segmenter = PresetSegmenter(predictor, labeler.chunk)
    embedders = embedders_of(segmenter, Tower.of(predictor), shared=True)
    made: dict[str, Method] = {OVSAM: Ovsam(segmenter, recognizer)}
    naming = Naming(
        recognizer.classifier,
        recognizer.fusion.clip_scale,
        predictor.preset.text_tower,
        str(predictor.device),
    )
    return choose(names, segmenter, embedders, naming, contexts, made)


def choose(
    names: Sequence[str],
    segmenter: Segmenter,
    embedders: Mapping[str, SharedEmbedder],
    naming: Naming,
    contexts: Sequence[Context | str | Path],
    made: Mapping[str, Method] | None = None,
) -> list[Method]:
    """The named methods, in order.

    Args:
        names: of `METHODS`.
        segmenter: whose masks they name.
        embedders: of the crop baselines, by name.
        naming: what they name from.
        contexts: for the methods whose name ends in "+coop".
        made: methods that are there already, by name.

    Raises:
        FileNotFoundError, ValueError: see `build_methods`.
    """
    loaded = [c if isinstance(c, Context) else Context.load(c) for c in contexts]
    learned = {context.method: context for context in loaded}
    plain = single_branch(naming.classifier, naming.scale, naming.device)
    chosen: list[Method] = []
    for name in names:
        crop = name.removesuffix(COOP)
        if made and name in made:
            chosen.append(made[name])
        elif name == SAM:
            chosen.append(MasksAlone(segmenter))
        elif name in embedders:
            chosen.append(CropMethod(name, embedders[name], plain))
        elif name != crop and crop in embedders:
            if crop not in learned:
                raise ValueError(
                    f"{name} needs a context learned for {crop}: train one, and give its file"
                )
            recognizer = _after_context(naming, learned[crop])
            chosen.append(CropMethod(name, embedders[crop], recognizer))
        else:
            raise ValueError(f"unknown method {name!r}: choose one of {', '.join(METHODS)}")
    return chosen


def single_branch(classifier: Classifier, scale: float, device: str | torch.device) -> Recognizer:
    """A recognizer of one embedding an instance: softmax of scaled cosines, and background."""
    return Recognizer(classifier, text_side.single_branch(scale), device=device)


def _after_context(naming: Naming, context: Context) -> Recognizer:
    tower = naming.text_tower
    if isinstance(tower, str):
        tower = load_text_tower(tower, naming.device)
    classifier = context_classifier(naming.classifier.vocabulary, tower, context)
    return single_branch(classifier, naming.scale, naming.device)


def embedders_of(segmenter: Segmenter, tower: Tower, *, shared: bool) -> dict[str, SharedEmbedder]:
    """Both crop baselines' embedders, by name; `shared` as they have it."""
    crops: tuple[CropEmbedder, ...] = (
        ImageCrop(tower, shared=shared),
        FeatureCrop(tower, shared=shared),
    )
    return {crop.name: SharedEmbedder(segmenter, crop) for crop in crops}
