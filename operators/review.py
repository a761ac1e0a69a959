"""The panel "Review": one doubtful instance after another, decided by a click or a key."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.decisions import reviewer
from ovsam_plugin.curation.known_names import known_names, matching_names
from ovsam_plugin.curation.review_figures import bin_range, traces
from ovsam_plugin.curation.review_picture import data_address, instance_picture
from ovsam_plugin.curation.review_queue import Filters
from ovsam_plugin.curation.review_session import Session, describe_instance
from ovsam_plugin.dataset.targets import fields_of

_NOTHING = "This dataset has no field of instances: run the operator `label` first."
_HELP = (
    "Keys, with Alt held (Ctrl+Option on a Mac, Alt+Shift in Firefox): 1 to 5 one of the names, "
    "A accept, R reject, S skip, U undo, N give the typed name, G show in the grid, W whole "
    "dataset. A bar that is clicked filters the queue; clicked again, it does not."
)

_FEW = 8

# Without these a part that is too wide makes the whole panel wider than its place.
_ONE_COLUMN = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 1fr)"}}}
_NARROW = {"sx": {"width": "auto"}}
_WIDE_AND_NARROW = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 7fr) minmax(0, 5fr)"}}}


class Review(foo.Panel):  # type: ignore[misc]
    """Shows what waits in a review queue, and hands each decision to it."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="review", label="OVSAM review", icon="fact_check", help_markdown=_HELP
        )

    def execute(self, ctx: foo.ExecutionContext) -> Any:
        # Drawing here would be from a state that is older than what the App has by now.
        return None if _is_echo(ctx) else super().execute(ctx)

    def on_load(self, ctx: foo.ExecutionContext) -> None:
        fields = _fields(ctx)
        kept = ctx.panel.get_state("settings.field")
        likely = [f for f in (kept, "ovsam", *fields) if f in fields]
        self._start(ctx, likely[0] if likely else None)

    def on_change_dataset(self, ctx: foo.ExecutionContext) -> None:
        self.on_load(ctx)

    def choose_field(self, ctx: foo.ExecutionContext) -> None:
        self._start(ctx, ctx.params.get("value"))

    def choose_order(self, ctx: foo.ExecutionContext) -> None:
        self._restart(ctx, order=ctx.params.get("value"))

    def choose_confidence(self, ctx: foo.ExecutionContext) -> None:
        filters = _filters(ctx)
        chosen = bin_range(ctx.params["x"])
        confidence = None if filters.confidence == chosen else chosen
        self._restart(ctx, filters=Filters(filters.classes, confidence))

    def choose_class(self, ctx: foo.ExecutionContext) -> None:
        filters = _filters(ctx)
        classes = set(filters.classes) ^ {ctx.params["y"]}
        self._restart(ctx, filters=Filters(tuple(sorted(classes)), filters.confidence))

    def clear_filters(self, ctx: foo.ExecutionContext) -> None:
        self._restart(ctx, filters=Filters())

    def accept(self, ctx: foo.ExecutionContext) -> None:
        self._decide(ctx, lambda session, i: session.accept(ctx.dataset, i, reviewer()))

    def reject(self, ctx: foo.ExecutionContext) -> None:
        self._decide(ctx, lambda session, i: session.reject(ctx.dataset, i, reviewer()))

    def pick(self, ctx: foo.ExecutionContext) -> None:
        name = ctx.params["name"]
        self._decide(ctx, lambda session, i: session.rename(ctx.dataset, i, name, reviewer()))

    def rename(self, ctx: foo.ExecutionContext) -> None:
        name = ctx.panel.get_state("naming.name") or ""
        if not name.strip():
            # The App hears of what is typed a moment later; drawing again would wipe it out.
            ctx.ops.notify("Type a name first, or press again if you just did", variant="info")
            return
        self._decide(ctx, lambda session, i: session.rename(ctx.dataset, i, name, reviewer()))

    def skip(self, ctx: foo.ExecutionContext) -> None:
        self._decide(ctx, lambda session, i: session.skip(i))

    def undo(self, ctx: foo.ExecutionContext) -> None:
        session = _session(ctx)
        if session is None:
            return
        session, count = session.undo(ctx.dataset, reviewer())
        if not count:
            ctx.ops.notify("There is no decision of yours to undo", variant="info")
        self._show(ctx, session)

    def type_name(self, ctx: foo.ExecutionContext) -> None:
        session = _session(ctx)
        if session is not None:
            self._offer(ctx, session.field, ctx.params.get("value") or "")

    def show_in_grid(self, ctx: foo.ExecutionContext) -> None:
        session, shown = _session(ctx), _shown(ctx)
        if session is None or shown is None:
            return
        label = {key: shown[key] for key in ("sample_id", "label_id")}
        ctx.ops.set_view(view=ctx.dataset.select(shown["sample_id"]))
        ctx.ops.set_selected_labels([{**label, "field": session.field}])

    def show_whole(self, ctx: foo.ExecutionContext) -> None:
        ctx.ops.clear_selected_labels()
        ctx.ops.clear_view()

    def _start(
        self,
        ctx: foo.ExecutionContext,
        field: str | None,
        order: str | None = None,
        filters: Filters | None = None,
    ) -> None:
        ctx.panel.set_state("field", field)
        try:
            if field is None:
                raise ValueError(_NOTHING)
            session = Session.start(ctx.dataset, field, order, filters)
        except ValueError as error:
            state = {"session": None, "shown": None, "problem": str(error)}
            ctx.panel.set_state({**state, "settings.field": field})
            return
        self._offer(ctx, field, "")
        self._show(ctx, session)

    def _restart(self, ctx: foo.ExecutionContext, **changes: Any) -> None:
        session = _session(ctx)
        if session is not None:
            kept = {"order": session.order, "filters": session.filters}
            self._start(ctx, session.field, **{**kept, **changes})

    def _decide(
        self, ctx: foo.ExecutionContext, decision: Callable[[Session, str], Session]
    ) -> None:
        session, shown = _session(ctx), _shown(ctx)
        if session is None:
            return
        label_id = ctx.params["label_id"]
        # A button that was drawn for another instance than the one in view decides nothing.
        if shown is not None and shown["label_id"] == label_id:
            try:
                session = decision(session, label_id)
            except ValueError as error:
                ctx.ops.notify(str(error), variant="error")
        self._show(ctx, session)

    def _show(self, ctx: foo.ExecutionContext, session: Session) -> None:
        session, instance = session.current(ctx.dataset)
        ctx.panel.set_state(
            {
                # As text: where the App merges lists, a longer one before leaves its tail.
                "session": json.dumps(session.to_state()),
                "shown": json.dumps(instance and describe_instance(instance)),
                "problem": None,
                "settings.field": session.field,
                "settings.order": session.order,
                # Empty and not None, or the App leaves in the box what was typed there.
                "naming.name": "",
                # When something is typed, the App copies data into the state, and merges both.
                "charts": None,
                "instance": None,
            }
        )
        data: dict[str, Any] = {"charts": traces(session.figures, session.filters)}
        if instance is not None:
            picture = instance_picture(instance.filepath, instance.label)
            data["instance"] = {"picture": data_address(picture)}
        ctx.ops.set_panel_data(data)

    def _offer(self, ctx: foo.ExecutionContext, field: str, typed: str) -> None:
        names = matching_names(known_names(ctx.dataset, field), typed)
        ctx.panel.set_state("names", json.dumps(names))

    def render(self, ctx: foo.ExecutionContext) -> types.Property:
        panel = types.Object()
        session = _session(ctx)
        self._settings(panel, _fields(ctx), session)
        if session is None:
            panel.md(ctx.panel.get_state("problem") or _NOTHING, name="problem_text")
        else:
            shown = _shown(ctx)
            panel.md(_progress(session), name="counts")
            if shown:
                self._instance(panel, shown)
                self._naming(panel, json.loads(ctx.panel.get_state("names") or "[]"), shown)
            else:
                panel.md("Nothing is left in this queue.", name="done")
            self._steps(panel, shown)
            self._charts(panel, session)
        view = types.GridView(
            orientation="vertical", gap=2, pad=2, align_x="left", componentsProps=_ONE_COLUMN
        )
        return types.Property(panel, view=view)

    def _settings(self, panel: types.Object, fields: list[str], session: Session | None) -> None:
        row = panel.h_stack("settings", gap=2)
        _menu(row, "field", "Field", {name: name for name in fields}, self.choose_field)
        if session is not None:
            offered = {name: name.capitalize() for name in session.offered}
            _menu(row, "order", "Most doubtful by", offered, self.choose_order)

    def _instance(self, panel: types.Object, shown: dict[str, Any]) -> None:
        row = panel.h_stack("instance", gap=2, componentsProps=_WIDE_AND_NARROW)
        fit = {"image": {"style": {"width": "100%", "height": "auto"}}}
        row.img("picture", alt_text="the instance", componentsProps=fit)
        side = row.v_stack("side", gap=1)
        side.md(_told(shown), name="told")
        for number, (name, score) in enumerate(shown["top"], start=1):
            label = f"{number}  {name}" + ("" if score is None else f"  {score:.2f}")
            params = {"label_id": shown["label_id"], "name": name}
            chosen = name == shown["label"]
            _button(side, f"name_{number}", label, str(number), self.pick, params, chosen=chosen)

    def _naming(self, panel: types.Object, names: list[str], shown: dict[str, Any]) -> None:
        row = panel.h_stack("naming", gap=2, align_y="end", componentsProps=_WIDE_AND_NARROW)
        view = types.AutocompleteView(choices=[types.Choice(name, label=name) for name in names])
        row.str("name", label="Another name", view=view, on_change=self.type_name)
        params = {"label_id": shown["label_id"]}
        _button(row, "rename", "Give this name (N)", "n", self.rename, params)

    def _steps(self, panel: types.Object, shown: dict[str, Any] | None) -> None:
        row = panel.grid("steps", orientation="2d", gap=1)
        if shown:
            params = {"label_id": shown["label_id"]}
            _button(
                row, "accept", "Accept (A)", "a", self.accept, params, icon="check", chosen=True
            )
            _button(row, "reject", "Reject (R)", "r", self.reject, params, icon="close")
            _button(row, "skip", "Skip (S)", "s", self.skip, params, icon="skip_next")
        _button(row, "undo", "Undo (U)", "u", self.undo, {}, icon="undo")
        if shown:
            _button(
                row, "grid", "Show in the grid (G)", "g", self.show_in_grid, {}, icon="grid_view"
            )
        _button(row, "whole", "Whole dataset (W)", "w", self.show_whole, {}, icon="apps")

    def _charts(self, panel: types.Object, session: Session) -> None:
        only = _only(session.filters)
        if only:
            row = panel.h_stack("filters", gap=2, align_y="center")
            row.md(only, name="chosen")
            _button(row, "clear", "Show everything (E)", "e", self.clear_filters, {})
        row = panel.h_stack("charts", gap=2, columns=2)
        heights = _counts_axis(session.figures.histogram)
        lengths = _counts_axis([count for _, count in session.figures.classes])
        # Every bar has its name.
        names = {"dtick": 1, "tickfont": {"size": 11}}
        for name, title, left, axes, call in (
            (
                "confidence",
                "Confidence of open instances",
                30,
                {"xaxis": {"range": [0, 1]}, "yaxis": heights},
                self.choose_confidence,
            ),
            (
                "classes",
                "Classes of open instances",
                90,
                {"xaxis": lengths, "yaxis": names},
                self.choose_class,
            ),
        ):
            margin = {"l": left, "r": 10, "t": 10, "b": 30}
            row.plot(
                name,
                label=title,
                layout={"height": 230, "margin": margin, "dragmode": False, **axes},
                config={"displayModeBar": False, "scrollZoom": False},
                on_click=call,
            )


def _fields(ctx: foo.ExecutionContext) -> list[str]:
    return fields_of(ctx.dataset, (fo.Detections,))


def _session(ctx: foo.ExecutionContext) -> Session | None:
    """The review as the panel last knew it; None before it has loaded, or where there is none."""
    state = ctx.panel.get_state("session")
    return Session.from_state(json.loads(state)) if state else None


def _shown(ctx: foo.ExecutionContext) -> dict[str, Any] | None:
    shown: dict[str, Any] | None = json.loads(ctx.panel.get_state("shown") or "null")
    return shown


def _filters(ctx: foo.ExecutionContext) -> Filters:
    session = _session(ctx)
    return Filters() if session is None else session.filters


def _is_echo(ctx: foo.ExecutionContext) -> bool:
    """Whether a menu reports, as the App does when it first draws it, what is chosen already."""
    method, value = ctx.params.get("__method__"), ctx.params.get("value")
    if method == "choose_field":
        return ctx.panel.get_state("field") in (None, value)
    session = _session(ctx)
    return method == "choose_order" and (session is None or session.order == value)


def _counts_axis(counts: Sequence[int]) -> dict[str, Any]:
    """Whole numbers alone; Plotly by itself puts fractions between small ones."""
    return {"dtick": 1} if max(counts, default=0) < _FEW else {"tickformat": ",d"}


def _menu(
    row: types.Object, name: str, label: str, choices: dict[str, str], call: Callable[..., None]
) -> None:
    view = types.DropdownView()
    for key, title in choices.items():
        view.add_choice(key, label=title)
    row.enum(name, view.values(), label=label, view=view, on_change=call)


def _button(
    row: types.Object,
    name: str,
    label: str,
    key: str,
    call: Callable[..., None],
    params: dict[str, Any],
    *,
    chosen: bool = False,
    icon: str | None = None,
) -> None:
    """A button with an access key: the browser presses it, a Python panel hears no keys."""
    row.btn(
        name,
        label=label,
        icon=icon,
        variant="contained" if chosen else "outlined",
        on_click=call,
        params=params,
        title=f"Alt+{key.upper()}",
        componentsProps={"button": {"accessKey": key, "sx": {"px": 1.5}}, "item": _NARROW},
    )


def _told(shown: dict[str, Any]) -> str:
    scores = ", ".join(f"{name} {value:.2f}" for name, value in shown["scores"].items())
    return f"**{shown['label']}** in {shown['image']}\n\n{scores}"


def _progress(session: Session) -> str:
    p = session.progress
    share = p.decided / p.total if p.total else 1
    return (
        f"**{p.decided} of {p.total} decided** ({share:.0%}): {p.accepted} accepted, "
        f"{p.renamed} renamed, {p.rejected} rejected; {p.open} open"
    )


def _only(filters: Filters) -> str:
    parts = [f"**{name}**" for name in filters.classes]
    if filters.confidence:
        parts.append("confidence **{:.2f} to {:.2f}**".format(*filters.confidence))
    return "Only " + ", ".join(parts) if parts else ""
