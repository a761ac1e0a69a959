"""Form and call of `learn_names`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.consent import OVERWRITE
from ovsam_plugin.curation.run_requests import LearnRequest
from ovsam_plugin.dataset.overwrite_request import REPLACE
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.markdown import plain

from .form import FormOperator, chosen_run, consent_by, form_config, mark, new_field_menu, run_menu


class Learn(FormOperator):
    """Names the instances of a run anew, by what was decided about some of them."""

    request = LearnRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "learn",
            "Apply what I decided",
            "Learns from the decisions about a run, and names its other instances again",
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        field, request = run_menu(inputs, ctx), LearnRequest.read(ctx.params)
        new_field_menu(inputs, "the run's name followed by _learned")
        inputs.bool(
            "preview",
            default=False,
            label="Show first what it is worth",
            description="judged on photographs that it did not learn from",
        )
        mark(inputs, request.unread)
        if field and (request.preview or request.estimate):
            self._estimate(inputs, ctx, request)
        return types.Property(inputs, view=types.View(label="Apply what I decided"))

    def _estimate(
        self, inputs: types.Object, ctx: foo.ExecutionContext, request: LearnRequest
    ) -> None:
        try:
            lesson = _lesson(ctx, request)
        except ValueError as error:
            warning = inputs.view("told", types.Error(label=plain(error)))
            warning.invalid, warning.error_message = True, str(error)
        else:
            inputs.view("told", types.Notice(label=plain(lesson)))

    def where(self, ctx: foo.ExecutionContext) -> str:
        into = _into(ctx, LearnRequest.read(ctx.params))
        return f"the new names are in the field {into}"

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.learning import learn_names

        request = LearnRequest.read(ctx.params)
        request.check_read()
        if request.estimate:
            return {"told": f"{_lesson(ctx, request)}. Nothing was written"}
        with consent_by({OVERWRITE: REPLACE}):
            summary = learn_names(
                ctx.dataset,
                pred_field=chosen_run(ctx),
                label_field=request.into,
                overwrite=request.overwrite,
            )
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        names = summary.names
        return {
            "told": str(summary.lesson),
            "field": names.field,
            "instances": names.instances,
            "changed": names.changed,
            "decided": names.decided,
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("told", label="What was learned")
        if "field" in (ctx.results or {}):
            outputs.str("field", label="New field")
            outputs.int("instances", label="Instances named")
            outputs.int("changed", label="With a different name than before")
            outputs.int("decided", label="Kept, because a person decided")
        return types.Property(outputs, view=types.View(label="Names updated"))


def _lesson(ctx: foo.ExecutionContext, request: LearnRequest) -> Any:
    """What the decisions teach, and what that is worth; nothing is written."""
    with IMPORTS:
        from ovsam_plugin.curation.learning import learn_from_decisions

    field, into = chosen_run(ctx), _into(ctx, request)
    return learn_from_decisions(ctx.dataset, pred_field=field, label_field=into)


def _into(ctx: foo.ExecutionContext, request: LearnRequest) -> str:
    """The field that the new names go to."""
    return request.into or f"{chosen_run(ctx)}_learned"
