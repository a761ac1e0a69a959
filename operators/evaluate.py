"""Form and call of `evaluate_dataset`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.evaluation.request import PROTOCOLS, EvaluationRequest

from .form import (
    VOCABULARIES,
    FormOperator,
    flat_target,
    form_config,
    mark,
    menu,
    progress,
    vocabulary_menu,
)

_SPLITS = {
    "none": "None",
    "coco-48-17": "COCO: 48 base, 17 novel",
    "lvis-rare": "LVIS: rare classes are novel",
    "file": "A file",
}
_VOCABULARIES = {"auto": "COCO's or LVIS's if it fits, else the ground truth's", **VOCABULARIES}


class Evaluate(FormOperator):
    """Holds predictions against ground truth, for the Model Evaluation panel."""

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "evaluate",
            "Evaluate Open-Vocabulary SAM",
            "Exact mask IoU and accuracy, base and novel classes apart",
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = flat_target(ctx)
        request = EvaluationRequest.from_params(ctx.params)
        problems = request.problems(samples)
        fields = request.fields(samples)

        menu(inputs, "pred_field", fields, request.pred_field, "Predictions")
        menu(inputs, "gt_field", fields, request.gt_field, "Ground truth")
        menu(inputs, "protocol", PROTOCOLS, request.protocol, "Protocol")
        menu(inputs, "split", _SPLITS, request.split, "Base and novel classes")
        if request.split == "file":
            inputs.str("split_file", required=True, label="File", description=".json or .csv")
        vocabulary_menu(inputs, request.vocabulary, _VOCABULARIES)
        if request.protocol in ("detector", "everything"):
            inputs.float("iou", min=0, max=1, default=request.iou, label="Least IoU of a pair")
        inputs.bool(
            "resize_masks",
            default=False,
            label="Stretch masks of another size over their boxes",
        )
        inputs.str("eval_key", default=request.key, label="Name of the evaluation")
        mark(inputs, problems)
        return types.Property(inputs, view=types.View(label="Evaluate Open-Vocabulary SAM"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        from ovsam_plugin import evaluate_dataset

        request = EvaluationRequest.from_params(ctx.params)
        found = evaluate_dataset(
            flat_target(ctx),
            **request.arguments(),
            progress=progress(ctx),
        )
        if not ctx.delegated:
            ctx.ops.reload_dataset()
            ctx.ops.open_panel("model_evaluation_panel_builtin", is_active=True)
        rows = found.results.metrics()
        figures = {key: rows.get(key) for key in ("IoU_b", "IoU_n", "Acc_b", "Acc_n", "IoU", "Acc")}
        return {
            "eval_key": request.key,
            **{key: value for key, value in figures.items() if value is not None},
            "instances": len(found.evaluated.methods[0].outcomes),
            "problems": "\n".join(found.evaluated.problems[:10]),
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("eval_key", label="Name of the evaluation")
        outputs.int("instances", label="Instances")
        for key in ("IoU_b", "IoU_n", "Acc_b", "Acc_n", "IoU", "Acc"):
            if key in ctx.results:
                outputs.float(key, label=key)
        outputs.str("problems", label="Left out")
        return types.Property(outputs, view=types.View(label="Evaluated"))
