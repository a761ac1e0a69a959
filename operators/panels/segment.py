"""The panel "Segment" and what its script, segment.js, asks: a photograph that is clicked on."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.import_lock import IMPORTS

from ..form import asker
from .question import Question

_HELP = (
    "The mask under the mouse is shown with its name, its confidence (how certain the name is) "
    "and its objectness (how likely it is one whole thing). Click to keep it, and click again to "
    "add to it; with Shift or the right button, a click takes away. Drag for a box. 1 to 5 choose "
    "a name; Tab goes through smaller and larger things; Enter adds the instance to the field, Z "
    "takes back a click, Escape clears. Click an existing instance to edit it (with Alt, a click "
    "ignores it): rename it, redraw it with clicks, or Delete it; M merges it with the one under "
    "the mouse. B is a brush; with Shift or the right button, it erases. The wheel zooms, the "
    "middle button moves the photograph. The arrow keys go to the photographs beside it in the "
    "grid."
)


class Segment(foo.Panel):  # type: ignore[misc]
    """The photograph; all it does is in its script."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="segment",
            label="OVSAM segment",
            icon="ads_click",
            surfaces="grid modal",
            help_markdown=_HELP,
        )

    def render(self, ctx: foo.ExecutionContext) -> types.Property:
        view = types.View(component="OvsamSegment", composite_view=True)
        return types.Property(types.Object(), view=view)


class SegmentOpen(Question):
    """Which photograph, and which fields there are."""

    name = "segment_open"

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.segment_panel import open_photograph

        return open_photograph(ctx.view, params.get("sample_id"))


class SegmentLook(Question):
    """Encodes the photograph; the instances that are there."""

    name = "segment_look"
    needs = (("sample_id", str), ("field", str))

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.segment_panel import look

        return look(ctx.dataset, params["sample_id"], params["field"])


class SegmentAsk(Question):
    """Instances for a prompt, for words, or for nothing."""

    name = "segment_ask"
    needs = (("sample_id", str), ("kind", str))

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.segment_panel import ask

        asked = params.get("asked") or {}
        sample_id, vocabulary = params["sample_id"], params.get("vocabulary") or ""
        return {"found": ask(ctx.dataset, sample_id, params["kind"], vocabulary, asked)}


class SegmentChange(Question):
    """Adds, redraws, renames or removes an instance."""

    name = "segment_change"
    needs = (("sample_id", str), ("action", str), ("asked", dict))
    changes = True

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.segment_panel import change

        asked = {**params["asked"], "by": asker(ctx, params["asked"].get("by"))}
        return change(ctx.dataset, params["sample_id"], params["action"], asked)


class SegmentAhead(Question):
    """The photographs beside this one; the next is encoded ahead."""

    name = "segment_ahead"
    needs = (("sample_id", str),)

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.curation.segment_panel import go_ahead

        return go_ahead(ctx.view, params["sample_id"])


QUESTIONS = (SegmentOpen, SegmentLook, SegmentAsk, SegmentChange, SegmentAhead)
