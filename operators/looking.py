"""What the open App shows of a run: its field, each class in a colour of its own, its group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo

from ovsam_plugin.curation.colours import shown_colours
from ovsam_plugin.curation.sidebar import shown_groups
from ovsam_plugin.dataset.first_look import colour_classes


def show_run(ctx: foo.ExecutionContext, field: str) -> Iterator[Any]:
    """Shows a run's labels alone, in the App that asked, without a step more."""
    colour_classes(ctx.dataset)
    yield ctx.ops.reload_dataset()
    yield ctx.trigger("set_color_scheme", shown_colours(ctx.dataset))
    yield ctx.ops.set_active_fields([field])


def show_groups(ctx: foo.ExecutionContext) -> None:
    """Has the open App arrange its sidebar as the dataset says; call it before it is reloaded."""
    ctx.trigger("@ovsam/curation/show_groups", {"groups": shown_groups(ctx.dataset)})
