"""Form and call of `remove_run`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.curation.run_requests import RemovalRequest
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.markdown import plain

from .form import AskingOperator, lines, menu
from .looking import show_groups


class RemoveRun(AskingOperator):
    """Removes every trace of a run, once it is confirmed."""

    request = RemovalRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="remove_run",
            label="Remove a run",
            description="Its labels, decisions, embeddings, evaluations, views and everything else",
            dynamic=True,
            risk_level=types.RiskLevel.HIGH,
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        with IMPORTS:
            from ovsam_plugin.curation.removal import run_traces

        inputs = types.Object()
        fields = run_fields(ctx.dataset)
        request = RemovalRequest.read(ctx.params)
        field = request.field or ""
        menu(inputs, "field", fields, field, "Run")
        prop = types.Property(inputs, view=types.View(label="Remove a run"))
        if field not in fields:
            prop.invalid, prop.error_message = True, "choose a run"
            return prop
        traces = "\n".join(f"- {plain(line)}" for line in run_traces(ctx.dataset, field).lines())
        inputs.md(f"This will be removed:\n\n{traces}", name="traces")
        inputs.bool("confirmed", default=False, label="Yes, remove all of this")
        if not request.confirmed:
            prop.invalid, prop.error_message = True, "tick the box to confirm"
        return prop

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.removal import remove_run

        request = RemovalRequest.read(ctx.params)
        request.check_read()
        if not request.confirmed:
            raise ValueError(
                'nothing is removed until you confirm it: tick "Yes, remove all of this"'
            )
        traces = remove_run(ctx.dataset, request.field or "")
        show_groups(ctx)
        ctx.ops.clear_view()
        ctx.ops.reload_dataset()
        return {"removed": "\n".join(traces.lines())}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        lines(outputs, "removed", "Removed")
        return types.Property(outputs, view=types.View(label="Removed"))
