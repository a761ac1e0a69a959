"""Form and call of `name_instances`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fiftyone.operators as foo
from fiftyone.core.patches import PatchesView
from fiftyone.operators import types

from ovsam_plugin.curation.requests import NamingRequest
from ovsam_plugin.dataset.targets import Samples, photographs_behind
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.markdown import plain

from .form import (
    BOXES,
    MODELS,
    FormOperator,
    consent_by,
    field_menu,
    flat_target,
    form_config,
    label_vocabulary_menu,
    lines,
    mark,
    menu,
    overwrite_menu,
    progress,
)


def _asked(ctx: foo.ExecutionContext) -> tuple[Samples, NamingRequest, list[str]]:
    """What is to be named, and of which fields; of a grid of patches, these instances alone."""
    samples, request = flat_target(ctx), NamingRequest.read(ctx.params)
    if isinstance(samples, PatchesView):
        field = samples.patches_field
        return photographs_behind(samples, field), replace(request, field=field), [field]
    return samples, request, request.fields(samples)


class Recognize(FormOperator):
    """Names instances that a person drew, or another model found."""

    request = NamingRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "recognize",
            "Name the instances of a field",
            "Names and scores for boxes and masks that came from elsewhere",
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples, request, fields = _asked(ctx)
        field_menu(inputs, "field", fields, "Field with the instances", request.field)
        menu(inputs, "preset", MODELS, request.preset, "Model")
        inputs.str(
            "namer",
            label="Namer",
            description="if empty: the model above; or openclip:MODEL/WEIGHTS, any open_clip model",
        )
        if request.namer is not None:
            inputs.str(
                "cuts",
                label="How instances are cut out for it",
                description="MARGIN:BACKGROUND, ...; several are averaged; if empty: 0.1:0.5,0.4:1",
            )
        label_vocabulary_menu(inputs, request, samples)
        told = f"if empty: {request.target_field(samples) or 'the field and _named'}"
        inputs.str("into", label="Field for the names", description=plain(told))
        inputs.bool(
            "fill",
            default=False,
            label="Fill in",
            description="also name every instance in the field itself that has no name",
        )
        overwrite_menu(
            inputs,
            request,
            samples,
            "labels that the field for the names already holds are made again",
        )
        mark(inputs, request.problems(samples))
        return types.Property(inputs, view=types.View(label="Name the instances of a field"))

    def where(self, ctx: foo.ExecutionContext) -> str:
        samples, request, _ = _asked(ctx)
        field = request.target_field(samples)
        return f"the names are in the field {field}"

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.naming import name_instances

        samples, request, _ = _asked(ctx)
        with consent_by(BOXES):
            summary = name_instances(
                samples,
                **request.arguments(),
                # The App's server has threads, and a loader process forked beside them may hang.
                workers=None if ctx.delegated else 0,
                progress=progress(ctx),
            )
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return {
            "field": summary.labels.field,
            "instances": summary.labels.instances,
            "filled": summary.filled,
            "failed": summary.labels.failed,
            "reasons": "\n".join(summary.labels.reasons),
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("field", label="Field")
        outputs.int("instances", label="Instances named")
        for name, label in (
            ("filled", "Filled in"),
            ("failed", "Photographs that failed"),
            ("reasons", "Reasons for failure"),
        ):
            if (ctx.results or {}).get(name):
                lines(outputs, name, label)
        return types.Property(outputs, view=types.View(label="Named"))
