"""Form and call that name a group of unknown instances at once."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.decisions import rename, reviewer
from ovsam_plugin.curation.views import unknown, unknown_groups

from .form import chosen_run, menu, run_menu


class NameGroup(foo.Operator):  # type: ignore[misc]
    """Gives every undecided instance of a group one name."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="name_group",
            label="Name a group of unknown instances",
            description="One name for all instances of a group, as a decision of yours",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        field = run_menu(inputs, ctx)
        prop = types.Property(inputs, view=types.View(label="Name a group"))
        groups = unknown_groups(ctx.dataset, field) if field else {}
        if not groups:
            inputs.view("none", types.Error(label="No groups yet: score the run first"))
            prop.invalid = True
            return prop
        sizes = {str(number): f"{number}: {count} instances" for number, count in groups.items()}
        menu(inputs, "group", sizes, str(ctx.params.get("group") or next(iter(sizes))), "Group")
        inputs.str("name", required=True, label="Name")
        return prop

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        field = chosen_run(ctx)
        view = unknown(ctx.dataset, field, group=int(ctx.params.get("group") or 1))
        ids = view.values(f"{field}.detections.id", unwind=True)
        count = rename(ctx.dataset, field, ids, ctx.params.get("name") or "", by=reviewer())
        ctx.ops.reload_dataset()
        return {"renamed": count}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.int("renamed", label="Instances named")
        return types.Property(outputs, view=types.View(label="Named"))
