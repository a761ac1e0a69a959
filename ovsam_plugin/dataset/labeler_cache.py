"""Labelers that stay loaded: forms, notebooks and reruns in one process load weights once."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

from ovsam_plugin.hardware.precision import Precision
from ovsam_plugin.namers import Namer, NamerSpec, load_namer
from ovsam_plugin.prediction.labeler import Labeler, build_recognizer
from ovsam_plugin.prediction.predictor import Predictor, load_predictor
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

_LOADING = threading.Lock()


def cached_labeler(
    preset: str,
    vocabulary: Vocabulary,
    device: str,
    weights: Path | None = None,
    calibration: Calibration | None = None,
    adapter: Adapter | None = None,
    namer: NamerSpec | None = None,
    precision: Precision = "auto",
    compile: bool = False,
) -> Labeler:
    """A labeler of the last predictor, namer and the last few vocabularies, loaded when it must be.

    Raises:
        ValueError: unknown preset, device or precision, a machine that cannot compile, or a
            calibration or adapter for other weights or classes.
        FileNotFoundError: the weights are not on this machine.
        RuntimeError: open_clip cannot fetch or read the namer.
    """
    with _LOADING:
        predictor = _predictor(preset, device, weights, precision, compile)
        names = None if namer is None else _namer(namer, namer.fingerprint, device)
        if adapter is not None:
            embedder = predictor.weights_hash if names is None else names.fingerprint
            adapter.check(embedder, vocabulary)
            vocabulary = adapter.vocabulary
        side = predictor.preset if names is None else names.side
        recognizer = _recognizer(side, predictor, vocabulary)
        if adapter is not None:
            recognizer = recognizer.adapted(adapter)
        if calibration is not None:
            recognizer = recognizer.at_temperature(calibration.temperature)
        return Labeler(predictor, recognizer, calibration=calibration, namer=names)


@lru_cache(maxsize=1)
def _predictor(
    preset: str, device: str, weights: Path | None, precision: Precision, compile: bool
) -> Predictor:
    return load_predictor(
        preset, device=device, weights=weights, precision=precision, compile=compile
    )


@lru_cache(maxsize=1)
def _namer(spec: NamerSpec, fingerprint: str | None, device: str) -> Namer:
    """Loaded anew where its file's weights are others now, which the fingerprint tells."""
    return load_namer(spec, device)


@lru_cache(maxsize=4)
def _recognizer(side: TextSide, predictor: Predictor, vocabulary: Vocabulary) -> Recognizer:
    return build_recognizer(side, vocabulary, predictor.device)
