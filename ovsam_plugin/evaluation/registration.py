"""How FiftyOne learns the evaluation method `ovsam`, before anything heavy is imported."""

from __future__ import annotations

import os
import sys

NAME = "ovsam"
BACKEND = "ovsam_plugin.evaluation.backend.OvsamEvaluationConfig"
_LISTED, _PATH = "FIFTYONE_DETECTION_BACKENDS", "FIFTYONE_DETECTION_OVSAM_CONFIG_CLS"


def register_backend() -> None:
    """Adds `method="ovsam"` to those of `evaluate_detections`, for this process and its children.

    Where FiftyOne is imported already, its methods are known and ours is put among them; where it
    is not, it will read them from the environment.
    """
    config = getattr(sys.modules.get("fiftyone"), "evaluation_config", None)
    if config is not None:
        config.detection_backends.setdefault(NAME, {"config_cls": BACKEND})
    listed = os.environ.get(_LISTED, "*").split(",")
    if NAME not in listed:
        os.environ[_LISTED] = ",".join([*listed, NAME])
    os.environ.setdefault(_PATH, BACKEND)
