"""Form and calls of the decisions on what is selected in the App."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation import decided_labels, decisions
from ovsam_plugin.curation.known_names import known_names
from ovsam_plugin.curation.label_errors import evaluations_of, take_models_names
from ovsam_plugin.curation.run_requests import DecisionRequest
from ovsam_plugin.curation.selection import LABELS, VIEW, Selection
from ovsam_plugin.dataset.internals import is_patches

from .form import AskingOperator, asker, asker_question, mark, menu

_DECISIONS = {
    "accept": "Accept: the names are right",
    "rename": "Rename: all of them get one name",
    "reject": "Reject: they are not instances of anything",
    "models_name": "Take the model's names, from an evaluation",
    "reopen": "Take back the decisions about them",
    "undo": "Undo my last decision, whatever is selected",
}
_DONE = {
    "accept": "accepted",
    "rename": "renamed",
    "reject": "rejected",
    "models_name": "given the model's name",
    "reopen": "undecided again",
    "undo": "as they were before",
}
_SELECT = (
    "select something first: labels in a photograph, or patches or photographs in the grid; "
    'or choose all of them under "Apply to"'
)
_UNJUDGED = (
    "no evaluation of this field yet: compare it with the ground truth first, with Evaluate "
    "Open-Vocabulary SAM"
)
_NONE = "no instances here: label the photographs first, with Label with Open-Vocabulary SAM"


class Decide(AskingOperator):
    """Accepts, renames or rejects what is selected, or takes decisions back."""

    request = DecisionRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="decide",
            label="Decide on what is selected",
            description="Accept, rename or reject labels, patches or a whole view at once; or undo",
            icon="rule",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
            view_target=False,
        )

    def resolve_placement(self, ctx: foo.ExecutionContext) -> types.Placement:
        return types.Placement(
            types.Places.SAMPLES_GRID_SECONDARY_ACTIONS,
            types.Button(label="Decide on what is selected", icon="rule", prompt=True),
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

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        selection = _selection(ctx)
        prop = types.Property(inputs, view=types.View(label="Decide on what is selected"))
        if not selection.fields:
            mark(inputs, {"selection": _NONE})
            return prop
        request = DecisionRequest.read(ctx.params)
        field = _field(ctx, selection, request)
        choices = selection.choices(field)
        decision = request.decision
        what = _what(request, choices, selection)
        menu(inputs, "decision", _offered(ctx, field), decision, "Decision")
        if decision != "undo":
            menu(inputs, "what", choices, what, "Apply to")
        if len(selection.fields) > 1 and (what != LABELS or decision == "undo"):
            menu(inputs, "field", selection.fields, field, "Field")
        if decision == "rename":
            names = known_names(ctx.dataset, field)
            view = types.AutocompleteView(choices=[types.Choice(n, label=n) for n in names])
            inputs.str("name", required=True, label="Name", view=view)
        if decision == "models_name":
            keys = evaluations_of(ctx.dataset, field)
            menu(inputs, "eval_key", keys, request.eval_key or _first(keys), "Evaluation")
            if not keys:
                mark(inputs, {"eval_key": _UNJUDGED})
        asker_question(inputs, ctx)
        mark(inputs, request.unread)
        if not what and decision != "undo":
            mark(inputs, {"what": _SELECT})
        return prop

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        request = DecisionRequest.read(ctx.params)
        request.check_read()
        decision, selection = request.decision, _selection(ctx)
        field = _field(ctx, selection, request)
        by = asker(ctx, request.by)
        if decision == "undo":
            changed = asked = len(decisions.undo(ctx.dataset, field, by=by))
        else:
            what = _what(request, selection.choices(field), selection)
            if not what:
                raise ValueError(_SELECT)
            chosen = selection.label_ids(what, field)
            for name, ids in chosen.items() if len(chosen) > 1 else ():  # all or none
                decisions.check_decidable(ctx.dataset, name, ids, accepts=decision == "accept")
            asked = sum(map(len, chosen.values()))
            changed = sum(_decide(ctx, request, name, ids, by) for name, ids in chosen.items())
        selection.refresh()
        ctx.ops.clear_selected_labels()
        ctx.ops.clear_selected_samples()
        ctx.ops.reload_dataset()
        same = f"; {asked - changed:,} already were" if asked > changed else ""
        return {"changed": changed, "told": f"{changed:,} {_DONE[decision]}{same}"}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("told", label="Instances")
        return types.Property(outputs, view=types.View(label="Decided"))


def _decide(
    ctx: foo.ExecutionContext, request: DecisionRequest, field: str, ids: list[str], by: str
) -> int:
    """Makes one decision about labels of one field; how many changed."""
    if request.decision == "rename":
        return decisions.rename(ctx.dataset, field, ids, request.name, by=by)
    if request.decision == "models_name":
        key = request.eval_key or _first(evaluations_of(ctx.dataset, field))
        if not key:
            raise ValueError(_UNJUDGED)
        return take_models_names(ctx.dataset, key, ids, by=by)
    if request.decision == "reopen":
        return decisions.reopen(ctx.dataset, field, ids)
    decide = decisions.accept if request.decision == "accept" else decisions.reject
    return decide(ctx.dataset, field, ids, by=by)


def _first(keys: list[str]) -> str:
    return next(iter(keys), "")


def _offered(ctx: foo.ExecutionContext, field: str) -> dict[str, str]:
    """The decisions that can be made about a field."""
    judged = bool(evaluations_of(ctx.dataset, field))
    return {key: told for key, told in _DECISIONS.items() if judged or key != "models_name"}


def _selection(ctx: foo.ExecutionContext) -> Selection:
    labels: dict[str, list[str]] = {}
    for label in ctx.selected_labels or ():
        labels.setdefault(label["field"], []).append(label["label_id"])
    return Selection(ctx.view, tuple(ctx.selected or ()), labels)


def _field(ctx: foo.ExecutionContext, selection: Selection, request: DecisionRequest) -> str:
    """The chosen field; by default that of the selected labels, of the patches, or of the run, and
    to undo that of the last decision."""
    likely = [request.field, *selection.labels, "ovsam", *selection.fields]
    patches = selection.fields[:1] if is_patches(ctx.view) else []
    likely[1:1] = [] if selection.labels else patches
    if request.decision == "undo" and request.field not in selection.fields:
        likely[1:1] = _last_decided(ctx, selection.fields, asker(ctx, request.by))
    found = next((name for name in likely if name in selection.fields), None)
    if found is None:
        raise ValueError(_NONE)
    return found


def _last_decided(ctx: foo.ExecutionContext, fields: list[str], by: str) -> list[str]:
    """The fields that somebody has decided about, the last first."""
    times = {name: decided_labels.newest(ctx.dataset, name, by) for name in fields}
    return [n for _, n in sorted(((t, n) for n, t in times.items() if t), reverse=True)]


def _what(request: DecisionRequest, choices: dict[str, str], selection: Selection) -> str:
    """What is decided about; by default the narrowest that there is, but never a whole dataset."""
    if request.what in choices:
        return str(request.what)
    narrowest = next(iter(choices))
    return "" if narrowest == VIEW and selection.is_whole else narrowest
