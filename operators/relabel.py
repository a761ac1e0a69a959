"""Form and call of `relabel_dataset`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.requests import RelabelRequest
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.markdown import plain

from .form import (
    BOXES,
    FormOperator,
    consent_by,
    flat_target,
    form_config,
    label_vocabulary_menu,
    mark,
    menu,
    overwrite_menu,
)


class Relabel(FormOperator):
    """Names a run's instances over another vocabulary."""

    request = RelabelRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "relabel",
            "Relabel over another vocabulary",
            "New names and scores for the same instances, without looking at any image again",
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = flat_target(ctx)
        request = RelabelRequest.read(ctx.params)
        menu(inputs, "field", run_fields(samples), request.run(samples), "Run")
        label_vocabulary_menu(inputs, request, samples)
        told = f"if empty: {request.target_field(samples) or 'named after the run and the names'}"
        inputs.str("into", label="New field", description=plain(told))
        inputs.float(
            "min_confidence",
            min=0,
            max=1,
            label="Minimum confidence",
            description="leave empty to keep all",
        )
        overwrite_menu(
            inputs, request, samples, "labels that the new field already holds are made again"
        )
        mark(inputs, request.problems(samples))
        return types.Property(inputs, view=types.View(label="Relabel"))

    def where(self, ctx: foo.ExecutionContext) -> str:
        field = RelabelRequest.read(ctx.params).target_field(flat_target(ctx))
        return f"the new names are in the field {field}"

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.relabeling import relabel_dataset

        request = RelabelRequest.read(ctx.params)
        samples = flat_target(ctx)
        with consent_by(BOXES):
            summary = relabel_dataset(samples, **request.arguments(samples))
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return asdict(summary)

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("field", label="New field")
        outputs.int("instances", label="Instances named")
        outputs.int("changed", label="With a different name than before")
        for name, label in (
            ("decided", "Kept, because a person decided"),
            ("edited", "Kept, because their box or mask was changed by hand"),
            ("others", "Kept, because no run made them"),
        ):
            if (ctx.results or {}).get(name):
                outputs.int(name, label=label)
        outputs.float("seconds", label="Seconds")
        return types.Property(outputs, view=types.View(label="Relabelled"))
