"""Old names of keywords, for one release."""

from __future__ import annotations

import inspect
import warnings

import pytest

from ovsam_plugin.renaming import renamed


@renamed(field="pred_field", into="label_field")
def named(
    samples: str, *, pred_field: str = "ovsam", label_field: str | None = None
) -> list[object]:
    """Gives back what it got."""
    return [samples, pred_field, label_field]


def test_an_old_name_is_taken_with_a_warning_that_points_at_the_caller() -> None:
    with pytest.warns(DeprecationWarning, match=r"named\(into=...\) is label_field=") as told:
        found = named("s", into="new")  # type: ignore[call-arg]
    assert found == ["s", "ovsam", "new"]
    assert [warning.filename for warning in told] == [__file__]


def test_the_new_names_are_taken_without_a_word_and_shown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert named("s", pred_field="p", label_field="l") == ["s", "p", "l"]
    assert list(inspect.signature(named).parameters) == ["samples", "pred_field", "label_field"]


def test_both_names_at_once_and_unknown_ones_are_refused() -> None:
    with pytest.raises(TypeError, match="field is pred_field now: give one of the two"):
        named("s", field="a", pred_field="b")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'feild'"):
        named("s", feild="a")  # type: ignore[call-arg]
