"""Confidences that mean what they say: one temperature, and a minimum confidence for each class.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, for the temperature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ovsam_plugin.files import write_whole
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]
# A class with fewer answers or instances than this says too little of itself.
MIN_INSTANCES = 10
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Calibration:
    """What a labelled subset taught about a model's confidences over one vocabulary.

    Attributes:
        temperature: that fused log scores are divided by before the softmax; above 1 for a model
            that is too sure of itself.
        threshold: minimum confidence of classes that are not in `thresholds`, 0..1.
        thresholds: minimum confidence by class name, 0..1.
        weights: sha256 of the weights that it was fitted for; empty for minimum confidences that a
            person has set, which hold for any.
        vocabulary: hash of the vocabulary that it was fitted for.
        provenance: what else is known of its making; plain JSON.

    Raises:
        TypeError: the temperature or a threshold is no number, the thresholds are no mapping, or a
            hash is no text.
        ValueError: the temperature is not positive, or a threshold outside 0..1.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""
    vocabulary: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.thresholds, Mapping):
            raise TypeError(f"thresholds are numbers by class name, got {self.thresholds!r:.60}")
        for name, text in (("weights", self.weights), ("vocabulary", self.vocabulary)):
            if not isinstance(text, str):
                raise TypeError(f"{name!r} is {text!r:.60}, not the text of a hash")
        for name, given in (("temperature", self.temperature), ("threshold", self.threshold),
                            *self.thresholds.items()):  # fmt: skip
            if isinstance(given, bool) or not isinstance(given, int | float | np.number):
                raise TypeError(f"{name!r} is {given!r:.60}, not a number")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"a temperature is positive, got {self.temperature}")
        for name, value in (("threshold", self.threshold), *self.thresholds.items()):
            if not 0 <= value <= 1:
                raise ValueError(f"the threshold of {name!r} is {value}: allowed is 0 to 1")

    def least(self, vocabulary: Vocabulary) -> npt.NDArray[np.float32]:
        """(K,) float32, the minimum confidence of each class."""
        values = [self.thresholds.get(name, self.threshold) for name in vocabulary.names]
        return np.array(values, dtype=np.float32)

    def check(self, weights: str, vocabulary: Vocabulary) -> None:
        """That it was fitted for these.

        Raises:
            ValueError: it was fitted for other weights or another vocabulary, or has a threshold of
                a class that the vocabulary does not have.
        """
        # Confidences that were never fitted, and stay as the network gives them, need no weights.
        set_by_hand = not self.weights and self.temperature == 1
        for what, fitted, used in (
            ("weights", weights if set_by_hand else self.weights, weights),
            ("vocabulary", self.vocabulary, vocabulary.hash),
        ):
            if fitted != used:
                raise ValueError(
                    f"the calibration was fitted for another {what} ({fitted[:12]}, not "
                    f"{used[:12]}): fit it again with what is used now"
                )
        strangers = sorted(set(self.thresholds) - set(vocabulary.names))
        if strangers:
            raise ValueError(
                f"the calibration has a threshold of {strangers[0]!r}, which is no class of "
                f"{vocabulary.name!r}: spell it as the vocabulary does, or take it out"
            )

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def save(self, path: str | Path) -> None:
        """As JSON."""
        write_whole(path, self.to_json())

    @classmethod
    def of(cls, given: Calibration | str | Path | None) -> Calibration | None:
        """A calibration, read where its file is given.

        Raises:
            FileNotFoundError, ValueError: see `load`.
            TypeError: it is neither.
        """
        if given is None or isinstance(given, Calibration):
            return given
        if isinstance(given, str | Path):
            return cls.load(given)
        raise TypeError(f"a calibration is a Calibration or its file, got {given!r:.60}")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """What `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a calibration.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"no calibration at {path}: fit one with ovsam calibrate")
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
            known = [each.name for each in fields(cls)]
            if not isinstance(content, dict):
                raise ValueError(f"it is no object with {', '.join(known)}")
            other = sorted(set(content) - set(known))
            if other:
                raise ValueError(f"it has {other[0]!r}, allowed are {', '.join(known)}")
            return cls(**content)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a calibration: {error}") from error


def fit(
    log_scores: Floats,
    targets: npt.NDArray[np.int64],
    vocabulary: Vocabulary,
    *,
    weights: str = "",
    min_instances: int = MIN_INSTANCES,
) -> Calibration:
    """The temperature first, then thresholds on the confidences that it gives.

    Args:
        log_scores: (N, K + 1) fused log scores, background last; see `Recognizer.log_scores`.
        targets: (N,) the right classes.
        vocabulary: the K classes.
        weights: sha256 of the weights that answered.
        min_instances: classes with fewer right or given answers get the threshold of all.

    Raises:
        ValueError: there is no instance, or the shapes do not agree.
    """
    classes = len(vocabulary)
    if log_scores.shape != (len(targets), classes + 1):
        raise ValueError(
            f"scores of shape {log_scores.shape} for {len(targets)} instances and {classes} "
            "classes: need a column for each class, and the background's"
        )
    temperature = fit_temperature(log_scores, targets)
    scores = softmax(log_scores / temperature, axis=1)[:, :-1].astype(np.float32)
    answers = scores.argmax(1)
    confidence, right = scores.max(1), answers == targets
    thresholds = {}
    for k in range(classes):
        given, total = answers == k, int((targets == k).sum())
        if min(int(given.sum()), total) >= min_instances and right[given].any():
            thresholds[vocabulary.names[k]] = fit_threshold(confidence[given], right[given], total)
    return Calibration(
        temperature=temperature,
        threshold=fit_threshold(confidence, right, len(targets)),
        thresholds=thresholds,
        weights=weights,
        vocabulary=vocabulary.hash,
        provenance={
            "vocabulary": vocabulary.name,
            "instances": len(targets),
            "log_loss_before": round(log_loss(log_scores, targets, 1.0), 6),
            "log_loss": round(log_loss(log_scores, targets, temperature), 6),
        },
    )


def log_loss(log_scores: Floats, targets: npt.NDArray[np.int64], temperature: float) -> float:
    """Mean negative log probability of the right classes, in nats."""
    logs = log_softmax(np.asarray(log_scores, dtype=np.float64) / temperature, axis=1)
    return float(-logs[np.arange(len(targets)), targets].mean())


def fit_temperature(log_scores: Floats, targets: npt.NDArray[np.int64]) -> float:
    """The temperature of least log loss, between 0.05 and 20; the loss has one minimum.

    Raises:
        ValueError: there is no instance.
    """
    if not len(targets):
        raise ValueError("there is no instance to calibrate on: do the class names agree?")
    found = minimize_scalar(
        lambda x: log_loss(log_scores, targets, float(np.exp(x))),
        bounds=tuple(np.log(_TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def fit_threshold(confidence: Floats, right: npt.NDArray[np.bool_], total: int) -> float:
    """The minimum confidence with the largest F1 of what is kept; of equal ones the lowest.

    Args:
        confidence: (n,) of the answers with one name.
        right: (n,) bool.
        total: instances that have the name, found or not.

    Returns:
        A confidence that occurs; 0 when the best is to keep all, or nothing is right.
    """
    if not right.any():
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    sure, hits = confidence[order], np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(sure) + 1) + total)
    # Equal confidences are kept or dropped together.
    last = np.append(sure[1:] != sure[:-1], True)
    f1[~last] = -1
    best = len(f1) - 1 - int(f1[::-1].argmax())
    return 0.0 if best == len(f1) - 1 else float(sure[best])
