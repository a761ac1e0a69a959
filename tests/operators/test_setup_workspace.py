"""The operator `setup_workspace`, as the open App hears of it."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo

URI = "@ovsam/curation/setup_workspace"


def test_the_open_app_shows_the_workspace_and_its_colours_at_once(named: fo.Dataset) -> None:
    done = foo.execute_operator(URI, {"dataset": named, "params": {"colour_by": "review"}})
    told = {r["operator_uri"]: r["params"] for r in done.executor.to_json()["requests"]}
    assert list(told) == [
        "@ovsam/curation/show_groups",
        "reload_dataset", "set_color_scheme", "set_active_fields", "set_spaces",
    ]  # fmt: skip
    groups = {g["name"]: g["paths"] for g in told["@ovsam/curation/show_groups"]["groups"]}
    assert groups["ovsam run"][0] == "ovsam"
    assert "ovsam" not in groups["labels"]
    assert told["set_active_fields"] == {"fields": ["ovsam"]}
    (entry,) = told["set_color_scheme"]["fields"]
    assert (entry["path"], entry["colorByAttribute"]) == ("ovsam", "review")
    assert told["set_color_scheme"]["color_by"] == "value"
    assert "review" in str(told["set_spaces"]["spaces"])
