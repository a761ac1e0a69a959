"""Form and call of `score_run`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.run_requests import ScoreRequest
from ovsam_plugin.import_lock import IMPORTS

from .form import FormOperator, chosen_run, form_config, mark, run_menu


class ScoreInstances(FormOperator):
    """Scores a run's labels: doubt, outlier, unknown and its groups."""

    request = ScoreRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "score",
            "Score a run: what to review first",
            "Fills in doubt, outlier, disagreement, unknown and its group for every instance",
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        run_menu(inputs, ctx)
        inputs.float(
            "share",
            min=0,
            max=1,
            label="Share that counts as unknown",
            description="of the instances, 0 to 1; if empty: those more likely unknown than not",
        )
        mark(inputs, ScoreRequest.read(ctx.params).unread)
        return types.Property(inputs, view=types.View(label="Score a run"))

    def where(self, ctx: foo.ExecutionContext) -> str:
        return f"the scores are on the labels of {chosen_run(ctx)}"

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.scores import score_run

        request = ScoreRequest.read(ctx.params)
        request.check_read()
        summary = score_run(ctx.dataset, pred_field=chosen_run(ctx) or "ovsam", share=request.share)
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return asdict(summary)

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.int("instances", label="Instances scored")
        outputs.int("unknown", label="Unknown")
        outputs.int("groups", label="Groups among the unknown")
        outputs.float("seconds", label="Seconds")
        return types.Property(outputs, view=types.View(label="Scored"))
