"""The panel "Groups": unknown instances, a row of crops for each kind, named by a click."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.counting import counted
from ovsam_plugin.curation import decisions
from ovsam_plugin.curation.groups import unknown_groups
from ovsam_plugin.curation.known_names import known_names
from ovsam_plugin.curation.review_picture import data_address, group_picture
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.curation.views import as_patches, unknown, why_no_groups
from ovsam_plugin.markdown import plain

from ..form import asker

_ROWS = 6
_HELP = (
    "Each row is one kind of thing that no class of the vocabulary explains. Click a name to give "
    "it to all instances of the row, as your decision; you can also type any other name."
)
_NO_RUN = "No run yet: label the photographs first, with **Label with Open-Vocabulary SAM**."
# Without it a row of crops makes the whole panel wider than its place.
_ONE_COLUMN = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 1fr)"}}}
_NARROW = {"sx": {"width": "auto"}}


class Groups(foo.Panel):  # type: ignore[misc]
    """Shows the largest groups of a run's unknown instances, and names them."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="groups", label="OVSAM groups", icon="category", help_markdown=_HELP
        )

    def on_load(self, ctx: foo.ExecutionContext) -> None:
        fields = run_fields(ctx.dataset)
        kept = ctx.panel.get_state("settings.field")
        self._show(ctx, next((f for f in (kept, *fields) if f in fields), None))

    def on_change_dataset(self, ctx: foo.ExecutionContext) -> None:
        self.on_load(ctx)

    def choose_field(self, ctx: foo.ExecutionContext) -> None:
        if ctx.params.get("value") != ctx.panel.get_state("field"):
            self._show(ctx, ctx.params.get("value"))

    def give(self, ctx: foo.ExecutionContext) -> None:
        self._name(ctx, ctx.params["number"], ctx.params["name"])

    def give_typed(self, ctx: foo.ExecutionContext) -> None:
        number = ctx.params["number"]
        name = (ctx.panel.get_state(f"group_{number}.name_{number}") or "").strip()
        if not name:
            # The App hears of what is typed a moment later.
            ctx.ops.notify("Type a name first, or press again if you just did", variant="info")
            return
        self._name(ctx, number, name)

    def reject(self, ctx: foo.ExecutionContext) -> None:
        def change(field: str, ids: list[str], by: str) -> str:
            count = decisions.reject(ctx.dataset, field, ids, by=by)
            return f"{counted(count, 'instance')} rejected"

        self._decide(ctx, ctx.params["number"], change)

    def undo(self, ctx: foo.ExecutionContext) -> None:
        field, by = ctx.panel.get_state("field"), _asker(ctx)
        undone = decisions.undo(ctx.dataset, field, by=by)
        told = f"{counted(len(undone), 'instance')} as before that decision"
        self._told(ctx, told if undone else f"There is no decision of {by} to undo")

    def show(self, ctx: foo.ExecutionContext) -> None:
        field = ctx.panel.get_state("field")
        try:
            view = unknown(ctx.dataset, field, group=ctx.params["number"])
        except ValueError as error:  # somebody has decided about the group since
            self._told(ctx, str(error), "error")
            return
        ctx.ops.set_view(view=as_patches(view, field, "unknown"))

    def _name(self, ctx: foo.ExecutionContext, number: int, name: str) -> None:
        def change(field: str, ids: list[str], by: str) -> str:
            count = decisions.rename(ctx.dataset, field, ids, name, by=by)
            return f"{counted(count, 'instance')} {'is' if count == 1 else 'are'} now {name!r}"

        self._decide(ctx, number, change)

    def _decide(
        self, ctx: foo.ExecutionContext, number: int, change: Callable[[str, list[str], str], str]
    ) -> None:
        field = ctx.panel.get_state("field")
        try:
            told, variant = change(field, _members(ctx, field, number), _asker(ctx)), "success"
        except ValueError as error:  # somebody has decided about the group since
            told, variant = str(error), "error"
        self._told(ctx, told, variant)

    def _told(self, ctx: foo.ExecutionContext, message: str, variant: str = "success") -> None:
        ctx.ops.notify(message, variant=variant)
        ctx.ops.reload_dataset()
        self._show(ctx, ctx.panel.get_state("field"))

    def _show(self, ctx: foo.ExecutionContext, field: str | None) -> None:
        groups = unknown_groups(ctx.dataset, field, most=_ROWS) if field else []
        rows = [{"number": g.number, "size": g.size, "names": list(g.names)} for g in groups]
        names = known_names(ctx.dataset, field) if field else []
        # As text: where the App merges lists, a longer one before leaves its tail.
        state = {"field": field, "groups": json.dumps(rows), "names": json.dumps(names)}
        ctx.panel.set_state({**state, "settings.field": field})
        for group in groups:
            picture = group_picture(ctx.dataset, field or "", group.examples)
            ctx.panel.set_data(f"group_{group.number}.crops", data_address(picture))

    def render(self, ctx: foo.ExecutionContext) -> types.Property:
        panel = types.Object()
        fields = run_fields(ctx.dataset)
        groups = json.loads(ctx.panel.get_state("groups") or "[]")
        names = json.loads(ctx.panel.get_state("names") or "[]")
        if len(fields) > 1:
            view = types.DropdownView()
            for field in fields:
                view.add_choice(field, label=field)
            row = panel.h_stack("settings", gap=2)
            row.enum("field", view.values(), label="Run", view=view, on_change=self.choose_field)
        if not groups:
            run = ctx.panel.get_state("field") or next(iter(fields), "")
            told = plain(why_no_groups(ctx.dataset, run)) if run else _NO_RUN
            panel.md(told, name="none")
        for group in groups:
            self._group(panel, group, names)
        if fields:
            row = panel.h_stack("steps", gap=1)
            row.str("by", label="Your name", default=_asker(ctx))
            _button(row, "undo", "Undo my last decision", self.undo, {}, icon="undo")
        view = types.GridView(
            orientation="vertical", gap=3, pad=2, align_x="left", componentsProps=_ONE_COLUMN
        )
        return types.Property(panel, view=view)

    def _group(self, panel: types.Object, group: dict[str, Any], names: list[str]) -> None:
        number = group["number"]
        part = panel.v_stack(f"group_{number}", gap=1)
        size = counted(group["size"], "instance")
        part.md(f"**{size}**" + (", nearest names:" if group["names"] else ""), name="size")
        fit = {"image": {"style": {"maxWidth": "100%", "height": "auto"}}}
        part.img("crops", alt_text=f"group {number}", componentsProps=fit)
        row = part.h_stack(f"names_{number}", gap=1)
        for place, name in enumerate(group["names"]):
            params = {"number": number, "name": name}
            _button(row, f"give_{number}_{place}", name, self.give, params, chosen=not place)
        _button(row, f"show_{number}", "Show", self.show, {"number": number}, icon="grid_view")
        _button(row, f"reject_{number}", "Reject", self.reject, {"number": number}, icon="close")
        choices = [types.Choice(name, label=name) for name in names]
        view = types.AutocompleteView(choices=choices)
        part.str(f"name_{number}", label="Another name", view=view)
        row = part.h_stack(f"typed_{number}", gap=1)
        _button(row, f"typed_give_{number}", "Give this name", self.give_typed, {"number": number})


def _asker(ctx: foo.ExecutionContext) -> str:
    return asker(ctx, ctx.panel.get_state("steps.by"))


def _members(ctx: foo.ExecutionContext, field: str, number: int) -> list[str]:
    """Ids of the undecided instances of a group."""
    view = unknown(ctx.dataset, field, group=number)
    ids: list[str] = view.values(f"{field}.detections.id", unwind=True)
    return ids


def _button(
    row: types.Object,
    name: str,
    label: str,
    call: Any,
    params: dict[str, Any],
    *,
    chosen: bool = False,
    icon: str | None = None,
) -> None:
    row.btn(
        name,
        label=label,
        icon=icon,
        variant="contained" if chosen else "outlined",
        on_click=call,
        params=params,
        componentsProps={"button": {"sx": {"px": 1.5}}, "item": _NARROW},
    )
