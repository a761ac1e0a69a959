"""Form and call of `setup_workspace`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.run_requests import WorkspaceRequest
from ovsam_plugin.import_lock import IMPORTS

from .form import AskingOperator, chosen_run, mark, menu, run_menu
from .looking import show_groups, show_run


class SetupWorkspace(AskingOperator):
    """Makes saved views, a workspace, colours, indexes and summaries for a run."""

    request = WorkspaceRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="setup_workspace",
            label="Set up the curation workspace",
            description="Saved views, a workspace, colours, indexes and a sidebar group for a run",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        run_menu(inputs, ctx)
        by = {"label": "Class", "review": "What was decided"}
        request = WorkspaceRequest.read(ctx.params)
        menu(inputs, "colour_by", by, request.colour_by, "Colour by")
        mark(inputs, request.unread)
        return types.Property(inputs, view=types.View(label="Set up the curation workspace"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.workspace import setup_workspace
            from ovsam_plugin.dataset.internals import is_generated

        request = WorkspaceRequest.read(ctx.params)
        request.check_read()
        report = setup_workspace(ctx.dataset, chosen_run(ctx), colour_by=request.colour_by)
        show_groups(ctx)
        for _ in show_run(ctx, report.field):
            pass  # each is told to the App as it is made
        if is_generated(ctx.view):  # patches have no sidebar group, and maybe are of another field
            ctx.ops.clear_view()
        if report.workspace:
            ctx.ops.set_spaces(name=report.workspace)
        return {
            "views": ", ".join(report.views),
            "workspace": report.workspace or "",
            "left_out": "\n".join(report.left_out),
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("views", label="Saved views")
        outputs.str("workspace", label="Workspace")
        outputs.str("left_out", label="Left out")
        return types.Property(outputs, view=types.View(label="Made"))
