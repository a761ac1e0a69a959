"""Work that tells the App how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.core.utils as fou
import pytest
from fiftyone.operators import types

from operators import live
from operators.live import in_app, in_words

from .asking import context


def outcome(results: dict[str, Any]) -> types.Property:
    outputs = types.Object()
    outputs.str("error" if "error" in results else "made")
    return types.Property(outputs)


def told_by(dataset: fo.Dataset, work: Any, **settings: Any) -> tuple[list[Any], dict[str, Any]]:
    """What the App was shown, and what the work gave."""
    going = live.live(context("label", dataset), work, outcome, **settings)
    shown = []
    while True:
        try:
            message: Any = next(going)
        except StopIteration as done:
            return shown, done.value
        assert message.body.operator_uri == "show_output"
        shown.append(message.body.params)


def test_the_app_sees_a_bar_a_button_to_stop_and_the_outcome(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_INTERVAL", 0.0)

    def work(report: Callable[[Any], None]) -> dict[str, Any]:
        assert threading.current_thread() is not threading.main_thread()
        with fou.ProgressBar(total=4, progress=report) as bar:
            for _ in bar(range(4)):
                pass
        return {"made": "all"}

    stop = {"operator": "@ovsam/curation/stop_labeling", "params": {"field": "ovsam"}}
    shown, results = told_by(dataset, work, stop=stop)
    assert results == {"made": "all"}
    first, *going, last = shown
    assert "Getting ready" in str(first["outputs"])
    assert "stop_labeling" not in str(first["outputs"])  # nothing can be stopped yet
    assert "stop_labeling" in str(going[0]["outputs"])
    assert "of 4 photographs" in str(going[0]["outputs"])
    shares = [each["results"]["progress"] for each in (first, *going)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert last["results"] == results
    assert set(last["outputs"]["type"]["properties"]) == {"made"}


@pytest.mark.parametrize(
    ("error", "told"), [(ValueError("no such field"), "no such field"), (KeyError(), "KeyError")]
)
def test_an_error_is_told_in_its_own_words(
    dataset: fo.Dataset, error: Exception, told: str
) -> None:
    def work(report: Callable[[Any], None]) -> dict[str, Any]:
        raise error

    shown, results = told_by(dataset, work)
    assert results == {"error": told}
    assert shown[-1]["results"] == results
    assert set(shown[-1]["outputs"]["type"]["properties"]) == {"error"}


def test_only_the_app_looks_on(dataset: fo.Dataset) -> None:
    assert in_app(context("label", dataset, filters={}))
    assert not in_app(context("label", dataset))
    assert not in_app(context("label", dataset, filters={}, delegated=True))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (7.9, "a few seconds"),
        (8, "about 10 seconds"),
        (52, "about 50 seconds"),
        (55, "about a minute"),
        (89, "about a minute"),
        (90, "about 2 minutes"),
        (5_399, "about 90 minutes"),
        (5_400, "about 2 hours"),
        (130_000, "about 2 days"),
    ],
)
def test_a_time_is_told_as_a_person_says_it(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
