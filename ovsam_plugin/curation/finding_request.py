"""The form that finds rare, novel, unknown or doubtful instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ovsam_plugin.curation import comparison, views
from ovsam_plugin.curation.label_errors import label_errors
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.dataset.targets import Samples

KINDS = {
    "doubtful": "The most doubtful that nobody has decided about",
    "rare": "Of classes with few instances here",
    "tail": "Of the rarest classes that together hold a share of the instances",
    "rare_lvis": "Of LVIS's rare classes",
    "novel": "Of classes that are novel by the split",
    "unknown": "That no class of the vocabulary explains",
    "group": "One group of the unknown",
    "not_reviewed": "That nobody has decided about",
    "differing": "Named otherwise by another run",
    "label_errors": "Likely mistakes of the ground truth, by an evaluation",
}


@dataclass(frozen=True, kw_only=True)
class FindingRequest:
    """The values of the operator `find_instances`.

    Attributes:
        field: a run's field.
        kind: a key of KINDS.
        fewer_than, percent, group, by, other, eval_key: what the kind needs.
        patches: whether instances are shown cut out, one by one.
    """

    field: str | None = None
    kind: str = "doubtful"
    fewer_than: int = views.FEWER_THAN
    percent: float = views.DOUBTFUL_PERCENT
    group: int = 1
    by: str = "confidence"
    other: str | None = None
    eval_key: str | None = None
    patches: bool = True

    @classmethod
    def from_params(cls, params: Mapping[str, Any], samples: Samples) -> FindingRequest:
        """A request from what the form holds; the first run where none is chosen."""
        known = cls.__dataclass_fields__
        given = {k: v for k, v in params.items() if k in known and v not in (None, "")}
        return cls(**{"field": next(iter(run_fields(samples)), None), **given})

    def view(self, samples: Samples) -> views.View:
        """The instances.

        Raises:
            ValueError: there is no run yet, or what the kind reads is not filled.
        """
        field = self.field
        if field is None:
            raise ValueError("there is no run yet: label the dataset first")
        makers: dict[str, Callable[[], views.View]] = {
            "doubtful": lambda: views.doubtful(samples, field, by=self.by, percent=self.percent),
            "rare": lambda: views.rare_here(samples, field, fewer_than=self.fewer_than),
            "tail": lambda: views.rare_here(samples, field, tail_percent=self.percent),
            "rare_lvis": lambda: views.rare_in_lvis(samples, field),
            "novel": lambda: views.novel(samples, field),
            "unknown": lambda: views.unknown(samples, field),
            "group": lambda: views.unknown(samples, field, group=self.group),
            "not_reviewed": lambda: views.not_reviewed(samples, field),
            "differing": lambda: comparison.named_differently(samples, self.other or "", field),
        }
        if self.kind == "label_errors":
            return label_errors(samples, self.eval_key or "")
        if self.kind not in makers:
            raise ValueError(f"there is no kind {self.kind!r}: choose of {', '.join(KINDS)}")
        view = makers[self.kind]()
        if not self.patches:
            return view
        by = {"doubtful": self.by, "unknown": "unknown", "group": "unknown"}.get(self.kind)
        return views.as_patches(view, field, by)
