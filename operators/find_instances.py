"""Form and call of the views of a run's instances."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.counting import counted
from ovsam_plugin.curation.finding_request import KINDS, FindingRequest
from ovsam_plugin.curation.groups import unknown_groups
from ovsam_plugin.curation.label_errors import evaluations
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.dataset.internals import is_patches

from .form import AskingOperator, mark, menu

_GRID = "Samples"


class FindInstances(AskingOperator):
    """Shows rare, novel, unknown or doubtful instances in the App."""

    request = FindingRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="find_instances",
            label="Find rare, novel, unknown or doubtful instances",
            description="Sets the view to the instances of a run that are worth a look",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        request = FindingRequest.from_params(ctx.params, ctx.dataset)
        fields = run_fields(ctx.dataset)
        menu(inputs, "kind", KINDS, request.kind, "Which instances")
        menu(inputs, "field", fields, request.field or "", "Run")
        if request.kind == "doubtful":
            menu(inputs, "by", request.scores(ctx.dataset), request.by, "Most doubtful by")
        if request.kind in ("doubtful", "tail"):
            told = "Percent of the instances"
            inputs.float("percent", default=request.percent, min=0, max=100, label=told)
        if request.kind == "rare":
            inputs.int("fewer_than", default=request.fewer_than, min=1, label="Fewer than")
        if request.kind == "group" and request.field:
            found = unknown_groups(ctx.dataset, request.field)
            groups = {str(group.number): str(group) for group in found}
            menu(inputs, "group", groups, str(request.group), "Group")
        if request.kind == "differing":
            others = [name for name in fields if name != request.field]
            menu(inputs, "other", others, request.other or "", "The other run")
        if request.kind == "label_errors":
            menu(inputs, "eval_key", evaluations(ctx.dataset), request.eval_key or "", "Evaluation")
            inputs.float(
                "min_score",
                default=request.min_score,
                min=0,
                max=1,
                label="Minimum score",
                description="how much more certain the model is of its name than of the true one",
            )
        else:
            inputs.bool("patches", default=True, label="Show them one by one")
        mark(inputs, request.problems(ctx.dataset))
        return types.Property(inputs, view=types.View(label="Find instances"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        request = FindingRequest.from_params(ctx.params, ctx.dataset)
        view = request.view(ctx.dataset)
        found = len(view)
        if found:
            ctx.ops.set_view(view=view)
            ctx.ops.open_panel(_GRID, is_active=True)  # in front of what an evaluation has opened
        told = counted(found, "instance" if is_patches(view) else "photograph")
        return {"told": told if found else "nothing: the view stays as it is", "found": found}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("told", label="Found")
        return types.Property(outputs, view=types.View(label="Found"))
