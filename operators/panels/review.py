"""The panel "Review" and what its script, review.js, asks: one doubtful instance after another."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.review_panel import act, open_review, picture, together

from ..form import asker
from .question import Question

_HELP = (
    "The queue follows what the grid shows: choose a view, or filter in the sidebar. Keys, once "
    "you have clicked on the panel (with Alt from anywhere; Ctrl+Option on a Mac, Alt+Shift in "
    "Firefox): 1 to 5 give one of the names, A accepts, R rejects, S skips, U undoes; N lets you "
    "type a name, and Enter gives it; L decides about those like it at once, D redraws it in "
    "Segment, Delete removes it, G shows only it in the grid, W goes back to the view, T applies "
    "what you decided to the others. Click a bar to filter the queue, and again to show "
    "everything."
)


class Review(foo.Panel):  # type: ignore[misc]
    """The queue; all it does is in its script."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="review", label="OVSAM review", icon="fact_check", help_markdown=_HELP
        )

    def render(self, ctx: foo.ExecutionContext) -> types.Property:
        view = types.View(component="OvsamReview", composite_view=True)
        return types.Property(types.Object(), view=view)


class ReviewOpen(Question):
    """The fields there are, and a review of one from its front."""

    name = "review_open"

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        return open_review(ctx.view, params)


class ReviewAct(Question):
    """Decisions, in their order."""

    name = "review_act"
    needs = (("session", dict), ("actions", list))
    changes = True

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        return act(ctx.view, params["session"], params["actions"], asker(ctx, params.get("by")))


class ReviewPicture(Question):
    """An instance as it is shown."""

    name = "review_picture"
    needs = (("field", str), ("sample_id", str), ("label_id", str))

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        return picture(ctx.dataset, params["field"], params["sample_id"], params["label_id"])


class ReviewTogether(Question):
    """Those that may be decided as one with an instance."""

    name = "review_together"
    needs = (("field", str), ("sample_id", str), ("label_id", str))

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        return together(ctx.view, params["field"], params["sample_id"], params["label_id"])


QUESTIONS = (ReviewOpen, ReviewAct, ReviewPicture, ReviewTogether)
