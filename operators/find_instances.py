"""Form and call of the views of a run's instances."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.finding_request import KINDS, FindingRequest
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.curation.views import DOUBTS, unknown_groups

from .form import menu


class FindInstances(foo.Operator):  # type: ignore[misc]
    """Shows rare, novel, unknown or doubtful instances in the App."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="find_instances",
            label="Find rare, novel, unknown or doubtful instances",
            description="Sets the view to the instances of a run that are worth a look",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        request = FindingRequest.from_params(ctx.params, ctx.dataset)
        fields = run_fields(ctx.dataset)
        menu(inputs, "kind", KINDS, request.kind, "Which instances")
        menu(inputs, "field", fields, request.field or "", "Run")
        if request.kind == "doubtful":
            menu(inputs, "by", list(DOUBTS), request.by, "Doubted by")
        if request.kind in ("doubtful", "tail"):
            inputs.float("percent", default=request.percent, min=0, max=100, label="Percent")
        if request.kind == "rare":
            inputs.int("fewer_than", default=request.fewer_than, min=1, label="Fewer than")
        if request.kind == "group" and request.field:
            sizes = unknown_groups(ctx.dataset, request.field)
            said = ", ".join(f"{number}: {count}" for number, count in sizes.items())
            inputs.int("group", default=1, min=1, label="Group", description=said or "none yet")
        if request.kind == "differing":
            others = [name for name in fields if name != request.field]
            menu(inputs, "other", others, request.other or "", "The other run")
        if request.kind == "label_errors":
            keys = ctx.dataset.list_evaluations()
            menu(inputs, "eval_key", keys, request.eval_key or "", "Evaluation")
        inputs.bool("patches", default=True, label="One by one")
        prop = types.Property(inputs, view=types.View(label="Find instances"))
        try:
            request.view(ctx.dataset)
        except ValueError as error:
            prop.invalid, prop.error_message = True, str(error)
            inputs.view("problem", types.Error(label=str(error)))
        return prop

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        view = FindingRequest.from_params(ctx.params, ctx.dataset).view(ctx.dataset)
        ctx.ops.set_view(view=view)
        return {"found": len(view)}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.int("found", label="Found")
        return types.Property(outputs, view=types.View(label="Found"))
