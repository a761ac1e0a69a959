"""Open-Vocabulary SAM for FiftyOne: a mask, a name and scores for every instance."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovsam_plugin.dataset.labeling import LabelSummary, label_dataset

__all__ = ["label_dataset", "LabelSummary"]


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: they bring FiftyOne and torch with them."""
    if name in __all__:
        from ovsam_plugin.dataset import labeling

        return getattr(labeling, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
