"""The buttons above the grid that open the panels."""

from __future__ import annotations

import fiftyone.operators as foo
from fiftyone.operators import types


class _OpenPanel(foo.Operator):  # type: ignore[misc]
    """Opens a panel beside the grid; a subclass says which."""

    panel = title = icon = ""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name=f"open_{self.panel}",
            label=self.title,
            unlisted=True,
            risk_level=types.RiskLevel.LOW,
        )

    def resolve_placement(self, ctx: foo.ExecutionContext) -> types.Placement:
        button = types.Button(label=self.title, icon=self.icon, prompt=False)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def execute(self, ctx: foo.ExecutionContext) -> None:
        ctx.ops.open_panel(self.panel, is_active=True, layout="horizontal")


class OpenReview(_OpenPanel):
    panel, title, icon = "review", "Review instances", "fact_check"


class OpenSegment(_OpenPanel):
    panel, title, icon = "segment", "Click and name", "ads_click"
