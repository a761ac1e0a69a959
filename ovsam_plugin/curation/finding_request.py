"""The form that finds rare, novel, unknown or doubtful instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ovsam_plugin.curation import comparison, views
from ovsam_plugin.curation.groups import no_such_group, unknown_groups
from ovsam_plugin.curation.label_errors import MIN_SCORE, evaluations, label_errors
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.dataset.form import Form, one_of
from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.scoring.orders import BY_ATTRIBUTE

KINDS = {
    "doubtful": "The most doubtful, not reviewed yet",
    "rare": "Of classes with few instances here",
    "tail": "Of the rarest classes that together hold a share of the instances",
    "rare_lvis": "Of LVIS's rare classes",
    "novel": "Of classes that are novel by the split",
    "unknown": "Explained by no class of the vocabulary",
    "group": "One group of the unknown",
    "not_reviewed": "Not reviewed yet",
    "differing": "Named differently by another run",
    "label_errors": "Likely mistakes in the ground truth, from an evaluation",
}

BY = {
    name: f"{order.name.capitalize()}: {order.description}" for name, order in BY_ATTRIBUTE.items()
}
"""What instances can be doubted by, a score of `views.DOUBTS` each."""

_NO_RUN = "no run yet: label the photographs first, with Label with Open-Vocabulary SAM"
_SCORE_FIRST = "score the run first, with Score a run"


@dataclass(frozen=True, kw_only=True)
class FindingRequest(Form):
    """The values of the operator `find_instances`.

    Attributes:
        field: a run's field.
        kind: a key of KINDS.
        fewer_than, percent, group, by, other, eval_key, min_score: what the kind needs.
        patches: whether instances are shown cut out, one by one.
    """

    field: str | None = None
    kind: Annotated[str, one_of(*KINDS)] = "doubtful"
    fewer_than: int = views.FEWER_THAN
    percent: float = views.DOUBTFUL_PERCENT
    group: int = 1
    by: str = "doubt"
    other: str | None = None
    eval_key: str | None = None
    min_score: float = MIN_SCORE
    patches: bool = True

    @classmethod
    def from_params(cls, params: Mapping[str, Any], samples: Samples) -> FindingRequest:
        """A request from what the form holds; what is not chosen is the first that there is."""
        asked = cls.read(params)
        field, kind = asked.field or next(iter(run_fields(samples)), None), asked.kind
        likely: dict[str, Any] = {"field": field}
        if field and kind == "doubtful":
            there = cls._scores(samples, field)
            likely["by"] = cls.by if cls.by in there else next(iter(there), cls.by)
        elif kind == "label_errors":
            likely["eval_key"] = next(iter(evaluations(samples)), None)
        elif kind == "differing":
            likely["other"] = next((f for f in run_fields(samples) if f != field), None)
        return cls.read(params, **likely)

    def scores(self, samples: Samples) -> dict[str, str]:
        """What the run's instances can be doubted by: of BY, the scores that they have."""
        names = self._scores(samples, self.field) if self.field else []
        return {name: BY[name] for name in names}

    @staticmethod
    def _scores(samples: Samples, field: str) -> list[str]:
        return [name for name in BY if views.is_filled(samples, field, name)]

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well.

        Nothing is looked for: that takes as long as there are instances.
        """
        if self.unread:
            return self.unread
        if self.kind == "label_errors":
            if self.eval_key is None:
                return {
                    "eval_key": "no evaluation yet: compare a run with the ground truth first, "
                    "with Evaluate Open-Vocabulary SAM"
                }
            return {} if 0 <= self.min_score < 1 else {"min_score": "must be from 0 to below 1"}
        if self.field is None:
            return {"field": _NO_RUN}
        lacking = {
            "doubtful": ("by", self.by, f"no instance has this score: {_SCORE_FIRST}"),
            "rare_lvis": (
                "kind",
                "frequency",
                "the run's vocabulary has no groups of rare classes: label or relabel with LVIS",
            ),
            "novel": (
                "kind",
                "split",
                "the run's vocabulary has no novel classes: label or relabel with COCO or LVIS",
            ),
            "unknown": ("kind", "unknown", _SCORE_FIRST),
        }
        if self.kind in lacking:
            name, attribute, told = lacking[self.kind]
            if not views.is_filled(samples, self.field, attribute):
                return {name: told}
        if self.kind in ("doubtful", "tail") and not 0 < self.percent <= 100:
            return {"percent": "must be above 0 and at most 100"}
        if self.kind == "group":
            groups = unknown_groups(samples, self.field)
            if not groups:
                return {"group": views.why_no_groups(samples, self.field)}
            if self.group not in [found.number for found in groups]:
                return {"group": no_such_group(self.group, groups)}
        if self.kind == "differing" and self.other in (None, self.field):
            return {
                "other": "no other run over these instances: make one first, with Relabel over "
                "another vocabulary"
            }
        return {}

    def view(self, samples: Samples) -> views.View:
        """The instances.

        Raises:
            ValueError: there is no run yet, or what the kind reads is not filled.
        """
        self.check_read()
        if self.kind == "label_errors":
            return label_errors(samples, self.eval_key or "", min_score=self.min_score)
        field = self.field
        if field is None:
            raise ValueError("there is no run yet: label the dataset first")
        makers: dict[str, Callable[[], views.View]] = {
            "doubtful": lambda: views.doubtful(
                samples,
                field,
                by=self.by,
                percent=self.percent,
                worst_first=not self.patches,
            ),
            "rare": lambda: views.rare_here(samples, field, fewer_than=self.fewer_than),
            "tail": lambda: views.rare_here(samples, field, tail_percent=self.percent),
            "rare_lvis": lambda: views.rare_in_lvis(samples, field),
            "novel": lambda: views.novel(samples, field),
            "unknown": lambda: views.unknown(samples, field),
            "group": lambda: views.unknown(samples, field, group=self.group),
            "not_reviewed": lambda: views.not_reviewed(samples, field),
            "differing": lambda: comparison.named_differently(samples, self.other or "", field),
        }
        if self.kind not in makers:
            raise ValueError(f"there is no kind {self.kind!r}: choose one of {', '.join(KINDS)}")
        view = makers[self.kind]()
        if not self.patches:
            return view
        by = {"doubtful": self.by, "unknown": "unknown", "group": "unknown"}.get(self.kind)
        return views.as_patches(view, field, by)
