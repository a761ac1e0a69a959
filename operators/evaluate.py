"""Form and call of `evaluate_dataset`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.evaluation.request import PROTOCOLS, EvaluationRequest

_SPLITS = {
    "none": "None",
    "coco-48-17": "COCO: 48 base, 17 novel",
    "lvis-rare": "LVIS: rare classes are novel",
    "file": "A file",
}
_VOCABULARIES = {
    "auto": "COCO's or LVIS's if it fits, else the ground truth's",
    "coco": "COCO (80 classes)",
    "lvis": "LVIS (1,203 classes)",
    "imagenet-1k": "ImageNet-1k",
    "imagenet-21k": "ImageNet-21k",
    "open-22k": "LVIS, COCO and ImageNet-21k together (over 20,000)",
    "names": "My own names",
    "file": "A file",
}


class Evaluate(foo.Operator):  # type: ignore[misc]
    """Holds predictions against ground truth, for the Model Evaluation panel."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="evaluate",
            label="Evaluate Open-Vocabulary SAM",
            description="Exact mask IoU and accuracy, base and novel classes apart",
            dynamic=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = ctx.target_view(require_flat=True)
        request = EvaluationRequest.from_params(ctx.params)
        problems = request.problems(samples)
        fields = request.fields(samples)

        _menu(inputs, "pred_field", fields, request.pred_field, "Predictions")
        _menu(inputs, "gt_field", fields, request.gt_field, "Ground truth")
        _menu(inputs, "protocol", PROTOCOLS, request.protocol, "Protocol")
        _menu(inputs, "split", _SPLITS, request.split, "Base and novel classes")
        if request.split == "file":
            inputs.str("split_file", required=True, label="File", description=".json or .csv")
        _menu(inputs, "vocabulary", _VOCABULARIES, request.vocabulary, "Vocabulary")
        if request.vocabulary == "names":
            inputs.str("names", required=True, label="Names", description="cat, dog, fire hydrant")
        elif request.vocabulary == "file":
            inputs.str("file", required=True, label="File", description=".txt, .csv or .json")
        if request.protocol in ("detector", "everything"):
            inputs.float("iou", min=0, max=1, default=request.iou, label="Least IoU of a pair")
        inputs.bool(
            "resize_masks",
            default=False,
            label="Stretch masks of another size over their boxes",
        )
        inputs.str("eval_key", default=request.key, label="Name of the evaluation")
        for name, message in problems.items():
            prop = inputs.properties.get(name)
            if prop is None:
                prop = inputs.view(f"{name}_problem", types.Error(label=message))
            prop.invalid, prop.error_message = True, message
        return types.Property(inputs, view=types.View(label="Evaluate Open-Vocabulary SAM"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        from ovsam_plugin import evaluate_dataset

        request = EvaluationRequest.from_params(ctx.params)

        def report(bar: Any) -> None:
            ctx.set_progress(progress=bar.progress, label=f"{bar.iteration} of {bar.total} images")

        found = evaluate_dataset(
            ctx.target_view(require_flat=True),
            **request.arguments(),
            progress=fo.report_progress(report, dt=2.0),
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

    def __call__(
        self,
        samples: fo.core.collections.SampleCollection,
        *,
        delegate: bool = False,
        **params: Any,
    ) -> Any:
        """Runs the operator from a notebook, as the App does.

        Args:
            samples: a dataset or view.
            delegate: whether to hand it to a delegated worker.
            **params: the form's values: pred_field, gt_field, protocol, split, ...
        """
        ctx = {"view": samples.view(), "params": {**params, "view_target": "CURRENT_VIEW"}}
        return foo.execute_operator(self.uri, ctx, request_delegation=delegate)


def _menu(
    inputs: types.Object, name: str, choices: dict[str, str] | list[str], value: str, label: str
) -> None:
    view = types.DropdownView()
    for key in choices:
        view.add_choice(key, label=choices[key] if isinstance(choices, dict) else key)
    inputs.enum(name, view.values(), default=value, label=label, view=view)
