"""Call of `stop_labeling`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.run_requests import RunRequest
from ovsam_plugin.import_lock import IMPORTS

from .form import AskingOperator, chosen_run, run_menu


class StopLabeling(AskingOperator):
    """Stops the labelling of a field, wherever it goes on."""

    request = RunRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="stop_labeling",
            label="Stop labelling",
            description="Stops labelling that is running, here or elsewhere; what is done is kept",
            dynamic=True,
            risk_level=types.RiskLevel.LOW,
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        run_menu(inputs, ctx)
        return types.Property(inputs, view=types.View(label="Stop labelling"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.dataset.labeling import stop_labeling

        asked = stop_labeling(ctx.dataset, chosen_run(ctx))
        told = (
            "It stops after the current photograph"
            if asked
            else "Nothing is being labelled there now"
        )
        ctx.ops.notify(told)
        return {"asked": asked}
