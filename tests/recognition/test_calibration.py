from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from ovsam_plugin.recognition.calibration import (
    Calibration,
    fit,
    fit_temperature,
    fit_threshold,
    log_loss,
)
from ovsam_plugin.vocabulary import Vocabulary, load_vocabulary

NAMES = ("cat", "dog", "car", "cup")


def vocabulary() -> Vocabulary:
    return load_vocabulary(list(NAMES))


def answers(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log scores that are `temperature` times too sure, and classes drawn as they should be."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(count, len(NAMES) + 1)) * 1.5
    honest[:, -1] = -20  # an annotated instance is never background
    odds = softmax(honest, axis=1)
    targets = np.array([rng.choice(len(NAMES) + 1, p=row) for row in odds])
    return (honest * temperature).astype(np.float32), targets


def calibration_error(log_scores: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    scores = softmax(log_scores / temperature, axis=1)
    sure, right = scores.max(1), scores.argmax(1) == targets
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean()
            for b in np.unique(bins)]  # fmt: skip
    return float(sum(gaps))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    log_scores, targets = answers(4000, temperature)
    found = fit_temperature(log_scores, targets)
    assert abs(found / temperature - 1) < 0.08
    losses = [log_loss(log_scores, targets, found * f) for f in (0.9, 1.0, 1.1)]
    assert losses[1] == min(losses)


def test_confidences_mean_more_after_calibration_on_other_instances() -> None:
    log_scores, targets = answers(2000, 3.0)
    others, right = answers(2000, 3.0, seed=1)
    made = fit(log_scores, targets, vocabulary())
    assert calibration_error(others, right, 1.0) > 0.1
    assert calibration_error(others, right, made.temperature) < 0.05
    assert made.provenance["log_loss"] < made.provenance["log_loss_before"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 5),
)
def test_no_threshold_has_a_larger_f1(found: list[tuple[int, bool]], missed: int) -> None:
    confidence = np.array([c / 10 for c, _ in found])
    right = np.array([r for _, r in found])
    total = int(right.sum()) + missed

    def f1(threshold: float) -> float:
        kept = confidence >= threshold
        return 2 * right[kept].sum() / max(kept.sum() + total, 1)

    best = fit_threshold(confidence, right, total)
    assert f1(best) == max(f1(t) for t in (0.0, *confidence, 1.1)) or not right.any()
    assert best == 0 or all(f1(t) < f1(best) for t in confidence if t < best)


def test_classes_with_too_few_instances_get_the_threshold_of_all() -> None:
    log_scores, targets = answers(400, 2.0)
    few = np.flatnonzero(targets == 3)[5:]
    log_scores, targets = np.delete(log_scores, few, axis=0), np.delete(targets, few)
    made = fit(log_scores, targets, vocabulary(), min_instances=10)
    assert set(made.thresholds) == {"cat", "dog", "car"}
    least = made.least(vocabulary())
    assert least[3] == np.float32(made.threshold)
    assert least[0] == np.float32(made.thresholds["cat"])
    assert least.dtype == np.float32


def test_a_calibration_is_kept_as_json(tmp_path: Path) -> None:
    log_scores, targets = answers(200, 2.0)
    made = fit(log_scores, targets, vocabulary(), weights="abc")
    made.save(tmp_path / "new" / "c.json")
    assert Calibration.load(tmp_path / "new" / "c.json") == made
    made.check("abc", vocabulary())


def test_a_calibration_for_something_else_is_refused() -> None:
    made = Calibration(weights="abc", vocabulary=vocabulary().hash)
    with pytest.raises(ValueError, match="another weights \\(abc, not xyz\\)"):
        made.check("xyz", vocabulary())
    with pytest.raises(ValueError, match="another vocabulary"):
        made.check("abc", load_vocabulary("cat, dog"))


def test_a_threshold_of_a_class_that_there_is_not_is_refused() -> None:
    misspelt = Calibration(thresholds={"catt": 0.5}, vocabulary=vocabulary().hash)
    with pytest.raises(ValueError, match="a threshold of 'catt', which is no class of"):
        misspelt.check("any", vocabulary())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}x", "not a calibration"),
        ('{"colour": 1}', "it has 'colour', allowed are temperature, threshold, thresholds"),
        ('{"vocabulary": 3}', "c.json is not a calibration: 'vocabulary' is 3, not the text"),
        ('{"weights": null}', "c.json is not a calibration: 'weights' is None, not the text"),
        ("null", "it is no object with temperature"),
        ('{"temperature": 0}', "positive"),
        ('{"temperature": NaN}', "positive"),
        ('{"thresholds": {"cat": 2}}', "'cat' is 2"),
        ("[]", "not a calibration"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=reason):
        Calibration.load(path)


def test_a_calibration_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ovsam calibrate"):
        Calibration.load(tmp_path / "c.json")


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no instance to calibrate on"):
        fit(np.zeros((0, 5)), np.zeros(0, np.int64), vocabulary())
    with pytest.raises(ValueError, match="a column for each class"):
        fit(np.zeros((2, 4)), np.zeros(2, np.int64), vocabulary())
