"""A model of a preset and a vocabulary, put together from what a call gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fiftyone as fo

from ovsam_plugin.dataset.examples import Kept, labeler_adapter
from ovsam_plugin.dataset.labeler_cache import cached_labeler
from ovsam_plugin.dataset.model import OvsamModel, OvsamModelConfig
from ovsam_plugin.hardware.precision import Precision
from ovsam_plugin.images.tiles import Tiles, check_tiles
from ovsam_plugin.namers import Cut, NamerSpec
from ovsam_plugin.prediction.prompts import Grid
from ovsam_plugin.presets import get_preset
from ovsam_plugin.ranges import check_part
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


def build_model(
    preset: str = "ovsam-lite",
    *,
    vocabulary: str | Path | Sequence[str] | Vocabulary = "lvis",
    device: str = "auto",
    weights: str | Path | None = None,
    min_confidence: float | None = None,
    min_objectness: float | None = None,
    all_candidates: bool = False,
    tiles: Tiles = "auto",
    points_per_side: int | None = None,
    refine_masks: bool = False,
    find: str | Category | None = None,
    calibration: Calibration | str | Path | None = None,
    adapter: Adapter | str | Path | None = None,
    namer: str | NamerSpec | None = None,
    cuts: str | Sequence[Cut] | None = None,
    dataset: fo.Dataset | None = None,
    precision: Precision = "auto",
    compile: bool = False,
) -> OvsamModel:
    """A model of a preset and a vocabulary; weights stay loaded from one call to the next.

    Args:
        preset: a name of `presets.PRESETS`.
        vocabulary: as for `load_vocabulary`.
        device: "auto", "cpu", "cuda", ...
        weights: a .safetensors file of the assembled model; the preset's own when None.
        min_confidence: labels below it are left out; None keeps every answer.
        min_objectness: instances below it are left out; when None, those below the preset's own
            when nothing is asked, and none else.
        all_candidates: whether every candidate is kept when nothing is asked.
        tiles: "auto", "off" or a number along the longer side; see `tiles`.
        points_per_side: the lattice of "everything"; the preset's own when None.
        refine_masks: whether mask prompts are drawn anew instead of only named.
        find: words that instances have to fit when nothing else is asked, or a class by example.
        calibration: of the confidences, or its file; labels below its thresholds are left out.
        adapter: what `learn_names` learned from decisions, or its file.
        namer: who names what the preset draws, where not the preset itself; see `NamerSpec.of`.
        cuts: how an open_clip namer is shown an instance; see `namers.cuts`.
        dataset: that has the labels which are examples of classes, where there are any.
        precision: "auto", "fp32", "bf16" or "fp16"; see `precision`.
        compile: whether the encoder is compiled for this machine; see `compiled`.

    Raises:
        ValueError: an unknown preset, namer, vocabulary, device or precision, a number out of
            range, or a calibration or adapter that was made for others.
        FileNotFoundError: the weights, the calibration or the adapter are not on this machine.
        RuntimeError: open_clip cannot fetch or read the namer.
    """
    check_part("min_confidence", min_confidence)
    check_part("min_objectness", min_objectness)
    config = OvsamModelConfig(
        grid=None if points_per_side is None else Grid(points_per_side),
        refine_masks=refine_masks,
        find=find.name if isinstance(find, Category) else find,
        confidence_thresh=min_confidence,
        tiles=check_tiles(tiles),
    )
    path = None if weights is None else Path(weights).expanduser()
    fitted = Calibration.of(calibration)
    learned = Adapter.of(adapter)
    spec = NamerSpec.of(namer or get_preset(preset).namer, cuts)
    classes = load_vocabulary(vocabulary)
    labeler = cached_labeler(
        preset, classes, device, path, fitted, learned, spec, precision, compile
    )
    labeler.min_objectness, labeler.all_candidates = min_objectness, all_candidates
    kept: Kept = {}
    if learned is None:
        shown, kept = labeler_adapter(dataset, classes, labeler)
        if shown is not None:
            labeler.recognizer = labeler.recognizer.adapted(shown)
    model = OvsamModel(labeler, config, spec, kept)
    if isinstance(find, Category):
        model.look_for(find, dataset)
    return model
