"""What MongoDB computes over labels while it writes a sample; a label is `$$d` in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from bson import ObjectId

Expression: TypeAlias = Any
"""What the database computes."""

Id: TypeAlias = str | ObjectId

DECIDED: Expression = {"$gt": ["$$d.review", None]}
"""Whether a person has decided about a label: undecided ones have no `review`, or null."""

OURS: Expression = {"$gt": ["$$d.prompt_type", None]}
"""Whether a run of ours made a label: it says of each what was asked."""


def list_at(path: str) -> Expression:
    """The list at a path of the sample, empty where it has no such path."""
    return {"$ifNull": [f"${path}", []]}


def filtered(labels: Expression, condition: Expression) -> Expression:
    """Those labels of which a condition is true, in their order."""
    return {"$filter": {"input": labels, "as": "d", "cond": condition}}


def rows_of(values: Iterable[tuple[Id, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Values by attribute of labels, each with its label's id as `_id`."""
    return [{"_id": ObjectId(label_id), **row} for label_id, row in values]


def listed(rows: Sequence[Mapping[str, Any]]) -> Expression:
    """Whether a label has one of these rows."""
    return {"$in": ["$$d._id", [row["_id"] for row in rows]]}


def overlaid(rows: Sequence[Mapping[str, Any]]) -> Expression:
    """The label with the row of its id over it; a row's values are no expressions."""
    return {"$mergeObjects": ["$$d", row_with({"$literal": list(rows)}, "$$d._id")]}


def row_with(rows: Expression, label_id: Expression) -> Expression:
    """The one of these rows that has the id."""
    place = {"$indexOfArray": ["$$rows._id", label_id]}
    return {"$let": {"vars": {"rows": rows}, "in": {"$arrayElemAt": ["$$rows", place]}}}


def allowed(meant: Expression, unless: Expression | None) -> Expression:
    """The condition `meant`, where the other one is not true."""
    return meant if unless is None else {"$and": [meant, {"$not": [unless]}]}


def changed_where(field: str, changed: Expression, where: Expression) -> list[Expression]:
    """The update of a sample whose labels become `changed` where `where` is true of them."""
    path = f"{field}.detections"
    chosen = {"$cond": [where, changed, "$$d"]}
    return [{"$set": {path: {"$map": {"input": f"${path}", "as": "d", "in": chosen}}}}]
