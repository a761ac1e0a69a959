"""The buttons above the grid."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.registry import OperatorRegistry

from tests.operators.asking import asked_of_app, context, uri


@pytest.mark.parametrize("panel", ["review", "segment"])
def test_a_button_opens_a_panel_that_is_there(panel: str, dataset: fo.Dataset) -> None:
    name = f"open_{panel}"
    operator = OperatorRegistry().get_operator(uri(name))
    placement = operator.resolve_placement(context(name, dataset)).to_json()
    assert placement["place"] == "samples-grid-secondary-actions"
    assert placement["view"]["label"] == operator.config.label
    assert not placement["view"]["prompt"]
    done = foo.execute_operator(uri(name), {"dataset": dataset})
    asked = asked_of_app(done)["open_panel"]
    assert (asked["name"], asked["layout"]) == (panel, "horizontal")
    assert OperatorRegistry().operator_exists(uri(panel))
