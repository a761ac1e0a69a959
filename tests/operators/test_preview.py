"""The part of the form of `label` that tries it on a few photographs."""

from __future__ import annotations

import json
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo

from .asking import form, uri

SMALL = {"vocabulary": "names", "names": "cat, cup, person, spoon"}


def asked(dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    properties: dict[str, Any] = form("label", dataset, **params).to_json()["type"]["properties"]
    return properties


def load(dataset: fo.Dataset, loader: dict[str, Any]) -> dict[str, Any]:
    """What the form's loader puts into the form, once it has done its work."""
    view = loader["view"]
    made = foo.execute_operator(view["operator"], {"dataset": dataset, "params": view["params"]})
    return {"tried": {"state": "loaded", "data": made.result}}


def test_nothing_is_tried_unless_it_is_switched_on_and_the_form_is_right(boxed: fo.Dataset) -> None:
    shown = asked(boxed, **SMALL)
    assert shown["preview"]["view"]["label"] == "Try on 3 photographs"
    assert "tried" not in shown
    assert "tried" in asked(boxed, **SMALL, preview=True)
    assert "tried" not in asked(boxed, **SMALL, preview=True, weights="/nowhere/own.safetensors")
    # Where the labels go does not matter to what they are.
    assert "tried" in asked(boxed, **SMALL, preview=True, field="filepath")


def test_a_preview_is_drawn_from_what_the_loader_made(boxed: fo.Dataset) -> None:
    params = {**SMALL, "prompts": "box", "prompt_field": "asks", "preview": True}
    loader = asked(boxed, **params)["tried"]
    assert "picture" not in asked(boxed, **params)
    loaded = load(boxed, loader)
    shown = asked(boxed, **params, **loaded)
    assert shown["picture"]["default"].startswith("data:image/jpeg;base64,")
    assert shown["told"]["view"]["label"].startswith("1.0 instances per photograph; all 3 take")
    none = asked(boxed, **params, **loaded, min_confidence=1.0)
    assert none["told"]["view"]["label"].startswith("0.0 instances per photograph")
    assert "strict_class" not in none
    # A minimum confidence for one of the classes that were found, off at first.
    menu = shown["strict_class"]
    assert menu["default"] == ""
    assert menu["view"]["description"] == "one class that is too often wrong"
    assert "strict_confidence" not in shown
    first = next(value for value in menu["type"]["values"] if value)
    strict = asked(boxed, **params, **loaded, strict_class=first, strict_confidence=1.0)
    assert first in strict["strict_confidence"]["view"]["label"]
    assert not strict["told"]["view"]["label"].startswith("1.0 instances per photograph")
    foo.execute_operator(
        uri("label"),
        {
            "dataset": boxed,
            "params": {
                **params,
                "strict_class": first,
                "strict_confidence": 1.0,
                "field": "strict",
            },
        },
    )
    assert first not in boxed.values("strict.detections.label", unwind=True)
    assert json.loads(boxed.get_run_info("strict").config.calibration)["thresholds"] == {first: 1.0}
    again = asked(boxed, **params, **loaded, strict_class=first, strict_confidence=1.0)
    assert (
        "strict: 3 photographs, labelled with these settings already"
        in again["field"]["view"]["description"]
    )
    loaded = load(boxed, again["tried"])
    again = asked(boxed, **params, **loaded, strict_class=first, strict_confidence=1.0)
    assert again["told"]["view"]["label"].endswith("instances per photograph")
    other = asked(boxed, **{**params, "names": "dog"}, **loaded)
    assert "picture" not in other
    assert boxed.get_field("ovsam") is None
