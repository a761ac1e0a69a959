"""What one decision makes of a label, and how it is seen that it stands already.

Both are told to the database as expressions over the label `$$d`, since another person may decide
between reading a label and writing to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ovsam_plugin.curation.attributes import DECISION
from ovsam_plugin.dataset.expressions import DECIDED, Expression

ACCEPTED, RENAMED, REJECTED = "accepted", "renamed", "rejected"
KINDS = (ACCEPTED, RENAMED, REJECTED)

# An attribute that is missing is not null: an imported label may be renamed without what the model
# called it, and keeps its name.
_KNOWN: Expression = {"$ne": [{"$type": "$$d.predicted_label"}, "missing"]}
# A missing name is set to null: what is missing would leave a merged document as it was.
_MODELS_NAME: Expression = {
    "$ifNull": [
        {
            "$cond": [
                {"$and": [{"$eq": ["$$d.review", RENAMED]}, _KNOWN]},
                "$$d.predicted_label",
                "$$d.label",
            ]
        },
        None,
    ]
}

# What a person had decided before, beside the label, and which decision that replaced.
_BEFORE = "decided_before"
_PREDICTED: Expression = {"$cond": [_KNOWN, "$$d.predicted_label", "$$d.label"]}
_AS_DECIDED: Expression = {
    **{name: f"$$d.{name}" for name in ("label", *(a.name for a in DECISION), _BEFORE)},
    # Where it is missing it would be null when it is brought back, and the name be lost.
    "predicted_label": _PREDICTED,
}

UNDECIDED: Expression = {
    **{a.name: None for a in DECISION},
    "label": _MODELS_NAME,
    _BEFORE: None,
}
"""What is set on a label to take all decisions about it back."""

TAKEN_BACK: Expression = {
    **{a.name: {"$ifNull": [f"$$d.{_BEFORE}.{a.name}", None]} for a in DECISION},
    "label": {
        "$cond": [
            {"$gt": [f"$$d.{_BEFORE}", None]},
            {"$ifNull": [f"$$d.{_BEFORE}.label", None]},
            _MODELS_NAME,
        ]
    },
    _BEFORE: {"$ifNull": [f"$$d.{_BEFORE}.{_BEFORE}", None]},
}
"""What is set on a label to take back the last decision about it: the one before stands again."""


@dataclass(frozen=True)
class Decision:
    """One way to decide about labels.

    Attributes:
        kind: one of KINDS.
        name: what they are called then; of RENAMED alone.
    """

    kind: str
    name: str | None = None

    def change(self, by: str, at: datetime) -> Expression:
        """What is set on a label.

        Args:
            by: who decides.
            at: when, in UTC.
        """
        said: Expression = {
            "reviewed_by": {"$literal": by},
            "reviewed_at": at,
            _BEFORE: {"$cond": [DECIDED, _AS_DECIDED, None]},
        }
        if self.kind != RENAMED:
            return {**said, "review": self.kind, "label": _MODELS_NAME, "predicted_label": None}
        given = {"$literal": self.name}
        right = {"$eq": [_MODELS_NAME, given]}
        return {
            **said,
            "review": {"$cond": [right, ACCEPTED, RENAMED]},
            "label": given,
            "predicted_label": {"$cond": [right, None, _MODELS_NAME]},
        }

    def stands_on(self, label: Mapping[str, Any]) -> bool:
        """Whether a label, as it was read, is decided in this way already."""
        review = label.get("review")
        if self.kind == RENAMED:
            return review in (ACCEPTED, RENAMED) and label.get("label") == self.name
        return review in ((ACCEPTED, RENAMED) if self.kind == ACCEPTED else (REJECTED,))

    def stands(self) -> Expression:
        """The same, in the database while it writes."""
        if self.kind == REJECTED:
            return {"$eq": ["$$d.review", REJECTED]}
        kept = {"$in": ["$$d.review", [ACCEPTED, RENAMED]]}
        if self.kind == ACCEPTED:
            return kept
        return {"$and": [kept, {"$eq": ["$$d.label", {"$literal": self.name}]}]}
