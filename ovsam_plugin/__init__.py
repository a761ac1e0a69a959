"""Open-Vocabulary SAM for FiftyOne: a mask, a name and scores for every instance."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ovsam_plugin.evaluation.registration import register_backend

if TYPE_CHECKING:
    from ovsam_plugin.dataset.labeling import LabelSummary, label_dataset
    from ovsam_plugin.evaluation.evaluate import center_points, evaluate_dataset

__all__ = ["label_dataset", "LabelSummary", "evaluate_dataset", "center_points"]

_HOMES = {
    "label_dataset": "dataset.labeling",
    "LabelSummary": "dataset.labeling",
    "evaluate_dataset": "evaluation.evaluate",
    "center_points": "evaluation.evaluate",
}

register_backend()


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: they bring FiftyOne and torch with them."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
