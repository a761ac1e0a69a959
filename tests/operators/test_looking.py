"""What the open App is told to show of a run."""

from __future__ import annotations

from typing import Any

import fiftyone as fo

from operators.looking import show_groups, show_run

from .asking import asked_of_app, context


def test_a_run_is_shown_alone_and_each_class_in_a_colour_of_its_own(labelled: fo.Dataset) -> None:
    ctx = context("label", labelled)
    told: list[Any] = [message.body for message in show_run(ctx, "ovsam")]
    assert [body.operator_uri for body in told] == [
        "reload_dataset", "set_color_scheme", "set_active_fields",
    ]  # fmt: skip
    assert told[1].params["color_by"] == "value"
    assert told[2].params == {"fields": ["ovsam"]}
    labelled.reload()
    assert labelled.app_config.color_scheme.color_by == "value"


def test_the_sidebar_is_arranged_as_the_dataset_says(labelled: fo.Dataset) -> None:
    labelled.app_config.sidebar_groups = [
        fo.SidebarGroupDocument(name="mine", paths=["ovsam"], expanded=False)
    ]
    ctx = context("remove_run", labelled)
    show_groups(ctx)
    (asked,) = asked_of_app(ctx).values()
    assert asked == {"groups": [{"name": "mine", "paths": ["ovsam"], "expanded": False}]}
