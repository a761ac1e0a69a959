"""Form and call of `label_dataset`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.dataset.zoo import MODELS

_PROMPTS = {
    "everything": "Everything in the picture",
    "box": "The boxes of a field",
    "point": "The points of a field",
    "mask": "The masks of a field",
    "find": "What fits some words",
}
_VOCABULARIES = {
    "coco": "COCO (80 classes)",
    "lvis": "LVIS (1,203 classes)",
    "imagenet-1k": "ImageNet-1k",
    "imagenet-21k": "ImageNet-21k",
    "open-22k": "LVIS, COCO and ImageNet-21k together (over 20,000)",
    "names": "My own names",
    "file": "A file",
    "field": "The classes of a label field",
}


class Label(foo.Operator):  # type: ignore[misc]
    """Labels a dataset, a view or the selected samples."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="label",
            label="Label with Open-Vocabulary SAM",
            description="Find instances, draw their masks and name them",
            dynamic=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = ctx.target_view(require_flat=True)
        request = LabelRequest.from_params(ctx.params)
        problems = request.problems(samples)

        _menu(inputs, "preset", {name: name for name in MODELS}, request.preset, "Model")
        inputs.str("weights", label="Weights", description="a .safetensors file; none: the model's")
        _menu(inputs, "vocabulary", _VOCABULARIES, request.vocabulary, "Vocabulary")
        if request.vocabulary == "names":
            inputs.str("names", required=True, label="Names", description="cat, dog, fire hydrant")
        elif request.vocabulary == "file":
            inputs.str("file", required=True, label="File", description=".txt, .csv or .json")
        elif request.vocabulary == "field":
            _field_menu(inputs, "class_field", request.class_fields(samples), "Label field")

        _menu(inputs, "prompts", _PROMPTS, request.prompts, "What to label")
        if request.prompts in ("box", "point", "mask"):
            fields = request.prompt_field_choices(samples)
            _field_menu(inputs, "prompt_field", fields, "Field that asks")
        if request.prompts == "mask":
            inputs.bool("refine_masks", default=False, label="Draw the masks anew")
        if request.prompts == "find":
            inputs.str("find", required=True, label="Words", description="a red bus")

        inputs.str("field", default=request.field, label="Field for the labels")
        inputs.float(
            "min_confidence", min=0, max=1, label="Least confidence", description="none keeps all"
        )
        inputs.bool(
            "overwrite",
            default=False,
            label="Start again",
            description="labels that the field holds already are made again",
        )
        for name, message in problems.items():
            prop = inputs.properties.get(name)
            if prop is None:
                prop = inputs.view(f"{name}_problem", types.Error(label=message))
            prop.invalid, prop.error_message = True, message
        return types.Property(inputs, view=types.View(label="Label with Open-Vocabulary SAM"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        from ovsam_plugin import label_dataset

        request = LabelRequest.from_params(ctx.params)

        def report(bar: Any) -> None:
            ctx.set_progress(progress=bar.progress, label=f"{bar.iteration} of {bar.total} images")

        summary = label_dataset(
            ctx.target_view(require_flat=True),
            **request.arguments(),
            # The App's server has threads, and a loader process forked beside them may hang.
            workers=None if ctx.delegated else 0,
            progress=fo.report_progress(report, dt=2.0),
        )
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return {
            "labelled": summary.labelled,
            "instances": summary.instances,
            "kept": summary.kept,
            "failed": summary.failed,
            "seconds": summary.seconds,
            "reasons": "\n".join(summary.reasons),
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.int("labelled", label="Samples labelled")
        outputs.int("instances", label="Instances")
        outputs.int("kept", label="Samples that had their labels")
        outputs.int("failed", label="Samples that failed")
        outputs.float("seconds", label="Seconds")
        outputs.str("reasons", label="Reasons of failure")
        return types.Property(outputs, view=types.View(label="Labelled"))

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
            **params: the form's values: preset, vocabulary, prompts, prompt_field, field, ...
        """
        ctx = {"view": samples.view(), "params": {**params, "view_target": "CURRENT_VIEW"}}
        return foo.execute_operator(self.uri, ctx, request_delegation=delegate)


def _menu(inputs: types.Object, name: str, choices: dict[str, str], value: str, label: str) -> None:
    view = types.DropdownView()
    for key, text in choices.items():
        view.add_choice(key, label=text)
    inputs.enum(name, view.values(), default=value, label=label, view=view)


def _field_menu(inputs: types.Object, name: str, fields: list[str], label: str) -> None:
    view = types.AutocompleteView(choices=[types.Choice(f, label=f) for f in fields])
    inputs.enum(name, fields, required=True, label=label, view=view)
