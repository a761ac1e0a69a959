"""A preset's calibration from photographs whose instances are named."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.recognition.calibration import MIN_INSTANCES, Calibration, fit
from ovsam_plugin.training.examples import Annotated


def calibrate(
    labeler: Labeler, photographs: Iterable[Annotated], *, min_instances: int = MIN_INSTANCES
) -> Calibration:
    """Asks for every annotated box, and fits a calibration to what is answered.

    Args:
        labeler: whose confidences are calibrated, over its vocabulary.
        photographs: which training has not seen, or the model seems surer than it is. Boxes of
            classes that the vocabulary does not have are left out.
        min_instances: see `calibration.fit`.

    Raises:
        ValueError: no box has a class of the vocabulary.
    """
    predictor, recognizer = labeler.predictor, labeler.recognizer
    scores: list[npt.NDArray[np.float32]] = []
    targets: list[int] = []
    for photograph in photographs:
        found = [recognizer.vocabulary.find(name) for name in photograph.names]
        asked = [(box, k) for box, k in zip(photograph.boxes, found) if k is not None]
        if not asked:
            continue
        (encoding,) = predictor.encode([predictor.preprocess(photograph.image)])
        answers = predictor.decode(encoding, [box for box, _ in asked], labeler.chunk)
        scores.append(
            recognizer.log_scores(answers.head_embeddings, answers.clip_embeddings, answers.empty)
        )
        targets.extend(k for _, k in asked)
    columns = len(recognizer.vocabulary) + 1
    return fit(
        np.concatenate([np.zeros((0, columns), np.float32), *scores]),
        np.array(targets, dtype=np.int64),
        recognizer.vocabulary,
        weights=predictor.weights_hash,
        min_instances=min_instances,
    )
