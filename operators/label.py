"""Form and call of `label_dataset`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.dataset.zoo import MODELS

from .form import (
    FormOperator,
    field_menu,
    flat_target,
    form_config,
    label_vocabulary_menu,
    mark,
    menu,
    overwrite_menu,
    progress,
)

_PROMPTS = {
    "everything": "Everything in the picture",
    "box": "The boxes of a field",
    "point": "The points of a field",
    "mask": "The masks of a field",
    "find": "What fits some words",
}


class Label(FormOperator):
    """Labels a dataset, a view or the selected samples."""

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "label",
            "Label with Open-Vocabulary SAM",
            "Find instances, draw their masks and name them",
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = flat_target(ctx)
        request = LabelRequest.from_params(ctx.params)
        problems = request.problems(samples)

        menu(inputs, "preset", {name: name for name in MODELS}, request.preset, "Model")
        inputs.str("weights", label="Weights", description="a .safetensors file; none: the model's")
        label_vocabulary_menu(inputs, request, samples)

        menu(inputs, "prompts", _PROMPTS, request.prompts, "What to label")
        if request.prompts in ("box", "point", "mask"):
            fields = request.prompt_field_choices(samples)
            field_menu(inputs, "prompt_field", fields, "Field that asks")
        if request.prompts == "mask":
            inputs.bool("refine_masks", default=False, label="Draw the masks anew")
        if request.prompts == "find":
            inputs.str("find", required=True, label="Words", description="a red bus")

        inputs.str("field", default=request.field, label="Field for the labels")
        if request.prompts in ("everything", "find"):
            inputs.bool(
                "all_candidates",
                default=False,
                label="Keep every candidate",
                description="parts and doubtful ones too, in place of one instance for each thing",
            )
        inputs.float(
            "min_objectness",
            min=0,
            max=1,
            label="Minimum objectness",
            description="how surely it is one whole thing; empty: the model's own limit where "
            "nothing is asked",
        )
        inputs.float(
            "min_confidence",
            min=0,
            max=1,
            label="Minimum confidence",
            description="how sure the name is; empty keeps all",
        )
        inputs.str(
            "tiles",
            default=request.tiles,
            label="Tiles",
            description="auto, off, or how many along the longer side: large photographs are "
            "looked at in overlapping parts too",
        )
        overwrite_menu(inputs, request, samples, "those that the field holds are made again")
        mark(inputs, problems)
        return types.Property(inputs, view=types.View(label="Label with Open-Vocabulary SAM"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        from ovsam_plugin import label_dataset

        request = LabelRequest.from_params(ctx.params)
        summary = label_dataset(
            flat_target(ctx),
            **request.arguments(),
            # The App's server has threads, and a loader process forked beside them may hang.
            workers=None if ctx.delegated else 0,
            progress=progress(ctx),
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
