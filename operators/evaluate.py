"""Form and call of `evaluate_dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.evaluation.request import PROTOCOLS, SPLITS, EvaluationRequest
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.markdown import plain

from .form import (
    VOCABULARIES,
    Choices,
    FormOperator,
    flat_target,
    form_config,
    lines,
    mark,
    menu,
    progress,
    vocabulary_menu,
)
from .live import Report, in_app, live
from .scheduling import is_taken_over, schedule

_FIGURES = {
    "mAP": "Mask mAP",
    "IoU": "Mask IoU",
    "Acc": "Accuracy of names",
    "IoU_b": "Mask IoU, base classes",
    "IoU_n": "Mask IoU, novel classes",
    "Acc_b": "Accuracy of names, base classes",
    "Acc_n": "Accuracy of names, novel classes",
}
# Reasons why something was left out, at most, that are shown.
_PROBLEMS = 5
_PANEL = "model_evaluation_panel_builtin"


class Evaluate(FormOperator):
    """Holds predictions against ground truth, for the Model Evaluation panel."""

    request = EvaluationRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "evaluate",
            "Evaluate Open-Vocabulary SAM",
            "Exact mask IoU, mAP and accuracy, with base and novel classes separate",
            live=True,
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = flat_target(ctx)
        request = EvaluationRequest.from_params(ctx.params, samples)
        problems = request.problems(samples)
        fields = request.fields(samples)

        menu(inputs, "pred_field", fields, request.pred_field, "Predictions")
        menu(inputs, "gt_field", fields, request.gt_field, "Ground truth")
        asked = PROTOCOLS[request.protocol_used(samples)]
        protocols: Choices = {"auto": ("As the run was made", asked), **PROTOCOLS}
        menu(inputs, "protocol", protocols, request.protocol, "How the labels were made")
        split = SPLITS[request.split_used(samples)]
        splits: Choices = {"auto": ("By what the model was trained on", split), **SPLITS}
        menu(inputs, "split", splits, request.split, "Base and novel classes")
        if request.split == "file":
            inputs.str("split_file", required=True, label="File", description=".json or .csv")
        own = (
            "the run's own if it tells every class of the ground truth apart; otherwise COCO's, "
            "LVIS's or the ground truth's"
        )
        vocabularies = {"auto": ("As the run was made", own), **VOCABULARIES}
        vocabulary_menu(inputs, request.vocabulary, vocabularies)
        if request.protocol_used(samples) in ("detector", "everything"):
            inputs.float("iou", min=0, max=1, default=request.iou, label="Minimum IoU of a pair")
        inputs.bool(
            "resize_masks",
            default=False,
            label="Stretch masks of another size to fit their boxes",
        )
        others = [f for f in fields if f not in (request.pred_field, request.gt_field)]
        if others:
            choices = {"none": "nothing", **dict(zip(others, others))}
            menu(inputs, "compare", choices, request.compare, "Compare with")
        choices = {"none": "nothing", **{name: name for name in request.slices(samples)}}
        menu(inputs, "slice_by", choices, request.slice_by, "Break down by")
        named = plain(f"if empty: {request.key(samples)}")
        inputs.str("eval_key", label="Name of the evaluation", description=named)
        mark(inputs, problems)
        return types.Property(inputs, view=types.PromptView(label="Evaluate"))

    def where(self, ctx: foo.ExecutionContext) -> str:
        samples = flat_target(ctx)
        key = EvaluationRequest.from_params(ctx.params, samples).key(samples)
        return f"the evaluation {key} is in the panel Model Evaluation"

    def execute(self, ctx: foo.ExecutionContext) -> Any:
        if is_taken_over(ctx):
            return schedule(ctx, self, self.where(ctx))
        samples = flat_target(ctx)
        request = EvaluationRequest.from_params(ctx.params, samples)

        def work(report: Report) -> dict[str, Any]:
            return _evaluate(samples, request, report)

        if in_app(ctx):
            return self._in_app(ctx, work)
        done = work(progress(ctx))
        if not ctx.delegated:
            ctx.ops.reload_dataset()
            ctx.ops.open_panel(_PANEL, is_active=True)
        return done

    def _in_app(self, ctx: foo.ExecutionContext, work: Any) -> Iterator[Any]:
        results = yield from live(ctx, work, _outcome)
        if "error" not in results:
            yield ctx.ops.reload_dataset()
            yield ctx.ops.open_panel(_PANEL, is_active=True)

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        return _outcome(ctx.results or {})


def _outcome(results: dict[str, Any]) -> types.Property:
    outputs = types.Object()
    if results.get("error"):
        outputs.view("error", types.Error(label=plain(results["error"])))
        return types.Property(outputs)
    outputs.str("eval_key", label="Name of the evaluation")
    outputs.int("instances", label="Instances evaluated")
    for key, label in _FIGURES.items():
        if key in results:
            outputs.str(key, label=label)
    if results.get("notes"):
        outputs.str("notes", label="To know")
    if results.get("left_out"):
        lines(outputs, "left_out", "Left out")
    if results.get("tables"):
        outputs.str("tables", label="More", view=types.MarkdownView())
    return types.Property(outputs, view=types.View(label="Evaluated"))


def _evaluate(samples: Samples, request: EvaluationRequest, report: Report) -> dict[str, Any]:
    with IMPORTS:
        from ovsam_plugin import evaluate_dataset
        from ovsam_plugin.evaluation.comparing import together
        from ovsam_plugin.evaluation.figures import compared, tables

    arguments = request.arguments(samples)
    found = evaluate_dataset(samples, **arguments, progress=report)
    evaluated = found.evaluated
    if request.compare != "none":
        other = arguments | {"pred_field": request.compare, "eval_key": None}
        beside = evaluate_dataset(samples, **other, progress=report)
        evaluated = together(evaluated, beside.evaluated)
    metrics = found.results.custom_metrics or {}
    figures = {m["key"]: round(m["value"], 3) for m in metrics.values() if m["key"] in _FIGURES}
    count = len(evaluated.methods[0].outcomes)
    made = tables(*compared(evaluated))
    return {
        "eval_key": arguments["eval_key"],
        **figures,
        "instances": count,
        "notes": "\n".join(evaluated.notes),
        "left_out": "\n".join(_left_out(samples, request, count, found.evaluated.problems)),
        "tables": "\n\n".join(f"**{plain(one.title)}**\n\n{one.markdown}" for one in made),
    }


def _left_out(
    samples: Samples, request: EvaluationRequest, evaluated: int, problems: tuple[str, ...]
) -> Iterator[str]:
    """How many labels of the ground truth were not evaluated, and why."""
    total = samples.count(f"{request.gt_field}.detections")
    left = total - evaluated
    if left:
        below = ", or left out for a reason below" if problems else ""
        yield (
            f"{left:,} of {total:,} ground-truth labels: crowds, classes that are neither base nor "
            f"novel{below}"
        )
    yield from problems[:_PROBLEMS]
    if len(problems) > _PROBLEMS:
        yield f"and {len(problems) - _PROBLEMS:,} more"
