"""Form and calls of the decisions on labels that are selected in the App."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation import decisions
from ovsam_plugin.curation.known_names import known_names

from .form import mark, menu

_DECISIONS = {
    "accept": "Accept: the names are right",
    "rename": "Rename: all of them get one name",
    "reject": "Reject: they are no instances of anything",
    "reopen": "Take back what was decided on them",
}
_SELECT = "Select labels first: open a sample and click on its instances, or use a patches view."


class Decide(foo.Operator):  # type: ignore[misc]
    """Accepts, renames or rejects the selected labels, or takes decisions on them back."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="decide",
            label="Decide on the selected labels",
            description="Accept, rename or reject many instances at once",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
            view_target=False,
        )

    def __call__(
        self,
        dataset: fo.Dataset,
        field: str,
        label_ids: list[str],
        decision: str,
        name: str | None = None,
    ) -> Any:
        """Runs the operator from a notebook, as the App does.

        Args:
            dataset: the dataset, not a view.
            field: the field that the labels are in.
            label_ids: ids of labels.
            decision: "accept", "rename", "reject" or "reopen".
            name: the new name, for "rename".
        """
        selected = [{"label_id": i, "field": field} for i in label_ids]
        ctx = {"dataset": dataset, "params": {"decision": decision, "name": name}}
        return foo.execute_operator(self.uri, {**ctx, "selected_labels": selected})

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        selected = _by_field(ctx)
        if not selected:
            mark(inputs, {"selection": _SELECT})
        else:
            told = ", ".join(f"{len(ids)} of {field}" for field, ids in selected.items())
            inputs.view("selected", types.Notice(label=f"Selected: {told}"))
        decision = ctx.params.get("decision", "accept")
        menu(inputs, "decision", _DECISIONS, decision, "Decision")
        if decision == "rename" and selected:
            names = dict.fromkeys(n for field in selected for n in known_names(ctx.dataset, field))
            view = types.AutocompleteView(choices=[types.Choice(n, label=n) for n in names])
            inputs.str("name", required=True, label="Name", view=view)
        return types.Property(inputs, view=types.View(label="Decide on the selected labels"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        decision = ctx.params.get("decision", "accept")
        changed = 0
        for field, ids in _by_field(ctx).items():
            if decision == "rename":
                changed += decisions.rename(ctx.dataset, field, ids, ctx.params.get("name") or "")
            else:
                changed += getattr(decisions, decision)(ctx.dataset, field, ids)
        ctx.ops.clear_selected_labels()
        ctx.ops.reload_dataset()
        return {"changed": changed}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.int("changed", label="Labels changed")
        return types.Property(outputs, view=types.View(label="Decided"))


def _by_field(ctx: foo.ExecutionContext) -> dict[str, list[str]]:
    """Ids of the selected labels by their field."""
    fields: dict[str, list[str]] = {}
    for label in ctx.selected_labels or ():
        fields.setdefault(label["field"], []).append(label["label_id"])
    return fields
