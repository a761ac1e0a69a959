"""Form and call of `make_class`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.consent import OVERWRITE
from ovsam_plugin.counting import counted
from ovsam_plugin.curation.run_requests import ClassRequest
from ovsam_plugin.dataset.overwrite_request import REPLACE
from ovsam_plugin.import_lock import IMPORTS

from .form import (
    FormOperator,
    chosen_run,
    consent_by,
    form_config,
    mark,
    new_field_menu,
    run_menu,
    selected_labels,
)

_SELECT = "Select examples of it first: labels in a photograph, or patches in a patches view."


class MakeClass(FormOperator):
    """A class of which the selected instances are examples; the run is named anew with it."""

    request = ClassRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "make_class",
            "Make a class of these",
            "A class by example: other instances like the selected ones get its name",
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        field = run_menu(inputs, ctx)
        ids = selected_labels(ctx)
        if not ids:
            mark(inputs, {"selection": _SELECT})
        else:
            told = f"{counted(len(ids), 'example')} selected"
            inputs.view("examples", types.Notice(label=told))
        inputs.str("name", required=True, label="Name of the class")
        inputs.bool(
            "words",
            default=True,
            label="Use its name too",
            description='turn off if the name says nothing, such as "type B"',
        )
        new_field_menu(inputs, f"{field or 'the run'}_NAME")
        mark(inputs, ClassRequest.read(ctx.params).unread)
        return types.Property(inputs, view=types.View(label="Make a class of these"))

    def where(self, ctx: foo.ExecutionContext) -> str:
        into = ClassRequest.read(ctx.params).into
        return f"the new names are in {f'the field {into}' if into else 'a field of the class'}"

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.by_example import make_class

        request = ClassRequest.read(ctx.params)
        request.check_read()
        with consent_by({OVERWRITE: REPLACE}):
            summary = make_class(
                ctx.dataset,
                request.name,
                selected_labels(ctx),
                pred_field=chosen_run(ctx),
                label_field=request.into,
                words=request.words,
                overwrite=request.overwrite,
            )
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return {
            "field": summary.field,
            "instances": summary.instances,
            "changed": summary.changed,
            "decided": summary.decided,
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("field", label="New field")
        outputs.int("instances", label="Instances named")
        outputs.int("changed", label="With a different name than before")
        outputs.int("decided", label="Kept, because a person decided")
        return types.Property(outputs, view=types.View(label="Names updated"))
