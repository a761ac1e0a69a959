"""Form and call that name a group of unknown instances at once."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.decisions import rename
from ovsam_plugin.curation.groups import unknown_groups
from ovsam_plugin.curation.known_names import known_names
from ovsam_plugin.curation.run_requests import GroupRequest
from ovsam_plugin.curation.views import unknown, why_no_groups

from .form import AskingOperator, asker, asker_question, chosen_run, mark, menu, run_menu

_SHOWN = 100


class NameGroup(AskingOperator):
    """Gives every undecided instance of a group one name."""

    request = GroupRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="name_group",
            label="Name a group of unknown instances",
            description="One name for all instances of a group, as your decision",
            dynamic=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        field = run_menu(inputs, ctx)
        prop = types.Property(inputs, view=types.View(label="Name a group"))
        groups = unknown_groups(ctx.dataset, field, most=_SHOWN) if field else []
        if not groups:
            told = why_no_groups(ctx.dataset, field) if field else "choose a run"
            mark(inputs, {"field": told} if field else {})
            prop.invalid, prop.error_message = True, told
            return prop
        offered = {str(group.number): str(group) for group in groups}
        request = GroupRequest.read(ctx.params)
        chosen = next((g for g in groups if g.number == request.group), groups[0])
        menu(inputs, "group", offered, str(chosen.number), "Group")
        names = dict.fromkeys((*chosen.names, *known_names(ctx.dataset, field)))
        view = types.AutocompleteView(choices=[types.Choice(n, label=n) for n in names])
        inputs.str("name", required=True, label="Name", view=view)
        asker_question(inputs, ctx)
        mark(inputs, request.unread)
        return prop

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        field, request = chosen_run(ctx), GroupRequest.read(ctx.params)
        request.check_read()
        number = request.group
        if number is None:
            largest = unknown_groups(ctx.dataset, field, most=1)
            if not largest:
                raise ValueError(why_no_groups(ctx.dataset, field))
            number = largest[0].number
        view = unknown(ctx.dataset, field, group=number)
        ids = view.values(f"{field}.detections.id", unwind=True)
        count = rename(ctx.dataset, field, ids, request.name, by=asker(ctx, request.by))
        ctx.ops.reload_dataset()
        return {"renamed": count}

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.int("renamed", label="Instances named")
        return types.Property(outputs, view=types.View(label="Named"))
