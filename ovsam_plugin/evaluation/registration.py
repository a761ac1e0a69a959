"""How FiftyOne learns the name of the evaluation method `ovsam`."""

from __future__ import annotations

import fiftyone as fo

NAME = "ovsam"
BACKEND = "ovsam_plugin.evaluation.backend.OvsamEvaluationConfig"


def register_backend() -> None:
    """Adds `method="ovsam"` to those of `evaluate_detections` in this process.

    The App's plugin does it where it is loaded. Elsewhere `method=OvsamEvaluationConfig` needs no
    name, and what was evaluated loads without either.
    """
    fo.evaluation_config.detection_backends.setdefault(NAME, {"config_cls": BACKEND})
