"""Open-Vocabulary SAM for FiftyOne: a mask, a name and scores for every instance."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ovsam_plugin.import_lock import IMPORTS

if TYPE_CHECKING:
    from ovsam_plugin.curation import decisions, views
    from ovsam_plugin.curation.by_example import make_class
    from ovsam_plugin.curation.clean_export import export_clean
    from ovsam_plugin.curation.comparison import compare_runs
    from ovsam_plugin.curation.encoding import encode_dataset
    from ovsam_plugin.curation.label_errors import label_errors
    from ovsam_plugin.curation.learning import learn_from_decisions, learn_names
    from ovsam_plugin.curation.naming import name_instances
    from ovsam_plugin.curation.relabeling import relabel_dataset
    from ovsam_plugin.curation.removal import remove_run
    from ovsam_plugin.curation.scores import score_run
    from ovsam_plugin.curation.search import search
    from ovsam_plugin.curation.workspace import setup_workspace
    from ovsam_plugin.dataset.imported_labels import ImportedLabels, import_labels
    from ovsam_plugin.dataset.labeling import LabelSummary, label_dataset, stop_labeling
    from ovsam_plugin.evaluation.backend import OvsamEvaluationConfig
    from ovsam_plugin.evaluation.evaluate import center_points, evaluate_dataset
    from ovsam_plugin.interactive.session import Instance, Session, open_image
    from ovsam_plugin.vocabulary.vocabulary import Category

__all__ = [
    "open_image",
    "Session",
    "Instance",
    "encode_dataset",
    "label_dataset",
    "LabelSummary",
    "stop_labeling",
    "search",
    "relabel_dataset",
    "name_instances",
    "make_class",
    "Category",
    "learn_names",
    "learn_from_decisions",
    "compare_runs",
    "score_run",
    "label_errors",
    "views",
    "decisions",
    "export_clean",
    "import_labels",
    "ImportedLabels",
    "setup_workspace",
    "remove_run",
    "evaluate_dataset",
    "OvsamEvaluationConfig",
    "center_points",
]

_HOMES = {
    "open_image": "interactive.session",
    "Session": "interactive.session",
    "Instance": "interactive.session",
    "encode_dataset": "curation.encoding",
    "label_dataset": "dataset.labeling",
    "LabelSummary": "dataset.labeling",
    "stop_labeling": "dataset.labeling",
    "search": "curation.search",
    "relabel_dataset": "curation.relabeling",
    "name_instances": "curation.naming",
    "make_class": "curation.by_example",
    "Category": "vocabulary.vocabulary",
    "learn_names": "curation.learning",
    "learn_from_decisions": "curation.learning",
    "compare_runs": "curation.comparison",
    "score_run": "curation.scores",
    "label_errors": "curation.label_errors",
    "export_clean": "curation.clean_export",
    "import_labels": "dataset.imported_labels",
    "ImportedLabels": "dataset.imported_labels",
    "setup_workspace": "curation.workspace",
    "remove_run": "curation.removal",
    "evaluate_dataset": "evaluation.evaluate",
    "OvsamEvaluationConfig": "evaluation.backend",
    "center_points": "evaluation.evaluate",
}

_MODULES = {"views": "curation.views", "decisions": "curation.decisions"}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: they bring FiftyOne and torch with them."""
    with IMPORTS:
        if name in _MODULES:
            return import_module(f"{__name__}.{_MODULES[name]}")
        if name in _HOMES:
            return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
