"""What the panel "Segment" asks, through FiftyOne's own executor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.decisions import progress
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.interactive.shared_network import load_shared_network

ROOT = Path(__file__).resolve().parents[3]
NAMES = "cat, cup, person, spoon"
CAT = {"points": [[230, 120, 1]]}


def call(name: str, dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    ctx = {"dataset": dataset, "view": dataset.view(), "params": params}
    result = foo.execute_operator(f"@ovsam/curation/segment_{name}", ctx)
    assert result.error is None, result.error
    told: dict[str, Any] = result.result
    return told


def change(dataset: fo.Dataset, sample_id: str, action: str, **asked: Any) -> dict[str, Any]:
    asked = {"field": "clicked", "vocabulary": NAMES, **asked}
    return call("change", dataset, sample_id=sample_id, action=action, asked=asked)


def filled(told: dict[str, Any]) -> np.ndarray:
    """The mask that runs along rows stand for."""
    bits = np.concatenate([np.full(n, i % 2 == 1) for i, n in enumerate(told["runs"])])
    return bits.reshape(told["shape"])


def test_the_panel_is_there_and_the_scripts_are_well_formed() -> None:
    assert OperatorRegistry().list_errors() == []
    folder = ROOT / "operators" / "panels"
    scripts = sorted(path.name for path in folder.glob("*.js"))
    loaded = [name for name in scripts if f'"./{name}"' in (folder / "panels.js").read_text()]
    assert scripts == sorted([*loaded, "panels.js"])
    node = shutil.which("node")
    for name in scripts if node is not None else ():
        kind = [] if name == "panels.js" else ["--input-type=module"]
        with (folder / name).open() as script:
            subprocess.run([node, *kind, "--check", "-"], stdin=script, check=True)


def test_the_operators_bring_no_torch() -> None:
    code = "import operators.panels.segment, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_photograph_is_opened_clicked_and_filled(dataset: fo.Dataset) -> None:
    opened = call("open", dataset)
    sample_id = opened["sample_id"]
    assert opened["filepath"] == dataset.first().filepath
    assert opened["field"] == "clicked"
    looked = call("look", dataset, sample_id=sample_id, field="clicked")
    told = {"instances": [], "left_out": "", "elsewhere": {}}
    assert looked == {"width": 451, "height": 300, **told}
    asked = {"sample_id": sample_id, "vocabulary": NAMES}
    (shown,) = call("ask", dataset, kind="answer", asked=CAT, **asked)["found"]
    x1, y1, x2, y2 = (int(v) for v in shown["at"])
    assert filled(shown).shape == (y2 - y1, x2 - x1)
    assert filled(shown)[120 - y1, 230 - x1]
    assert shown["names"][0][0] == "cat"

    made = change(dataset, sample_id, "add", **CAT)
    (there,) = made["instances"]
    assert there["id"] == made["label_id"]
    assert (filled(there) == filled(shown)).all()
    assert made["sample"]["clicked"]["detections"][0]["label"] == "cat"
    (label,) = dataset.reload() or dataset.first().clicked.detections
    assert (label.review, label.prompt_type) == ("accepted", "point")
    assert list(label.prompt) == [230, 120, 1]
    assert (np.asarray(label.mask) == filled(shown)).all()
    assert label.reviewed_by
    assert label.reviewed_at is not None
    assert dataset.get_field("clicked.detections.prompt").description

    everything = call("ask", dataset, kind="everything", **asked)["found"]
    assert all(one["prompt"]["box"] for one in everything)
    beside = call("ahead", dataset, sample_id=sample_id)
    assert beside == {"previous": None, "next": dataset.values("id")[1]}


def test_an_instance_is_renamed_redrawn_and_removed(dataset: fo.Dataset) -> None:
    sample_id = dataset.first().id
    first = change(dataset, sample_id, "add", **CAT)["label_id"]
    second = change(dataset, sample_id, "add", box=[150, 80, 300, 200], name="face")["label_id"]
    change(dataset, sample_id, "rename", label_id=first, name="tabby")
    change(dataset, sample_id, "redraw", label_id=second, box=[110, 20, 410, 290], name="face")
    dataset.reload()
    cat, face = dataset.first().clicked.detections
    assert (cat.id, cat.label, cat.review, cat.predicted_label) == (
        first,
        "tabby",
        "renamed",
        "cat",
    )
    assert (face.id, face.label, face.review) == (second, "face", "renamed")
    assert list(face.prompt) == [110, 20, 410, 290]
    assert face.bounding_box[2] > 0.4
    assert progress(dataset, "clicked").renamed == 2

    runs = {"at": [0, 0, 451, 300], "shape": [1, 1], "runs": [0, 1]}
    third = change(dataset, sample_id, "add", **CAT)["label_id"]
    asked = {"label_id": second, "mask": runs, "name": "all", "merged": [third]}
    change(dataset, sample_id, "redraw", **asked)
    dataset.reload()
    cat, merged = dataset.first().clicked.detections
    assert (merged.id, merged.label, merged.prompt_type) == (second, "all", "mask")
    assert merged.mask.all()
    assert merged.mask.shape == (300, 451)

    # A part that is gone: nothing of the merging is done.
    again = change(dataset, sample_id, "redraw", **{**asked, "merged": [first, third]})
    assert "somebody has removed it" in again["problem"]
    dataset.reload()
    assert [label.id for label in dataset.first().clicked.detections] == [first, second]

    told = change(dataset, sample_id, "remove", label_id=first)
    assert [one["id"] for one in told["instances"]] == [second]
    again = change(dataset, sample_id, "remove", label_id=first)
    assert "somebody has removed it" in again["problem"]


def test_what_goes_wrong_comes_back_as_a_sentence(dataset: fo.Dataset) -> None:
    sample_id, broken, gone = dataset.values("id")
    Path(dataset[broken].filepath).write_bytes(b"damaged")
    dataset.delete_samples([gone])
    for asked, told in (
        (call("open", dataset, sample_id=gone), "no longer in the dataset"),
        (change(dataset, gone, "add", **CAT), "no longer in the dataset"),
        (call("look", dataset, sample_id=broken, field="clicked"), "not an image"),
        (call("look", dataset, sample_id=sample_id, field="filepath"), "holds StringField"),
        (change(dataset, sample_id, "add", points=[[900, 1, 1]]), "lies outside"),
        (change(dataset, sample_id, "add", points=[[9, 1, 0]]), "positive point"),
        (change(dataset, sample_id, "rename", label_id="0" * 24, name="a"), "no longer there"),
    ):
        assert told in asked["problem"]
    assert dataset.get_field("clicked") is None


def test_a_network_that_does_not_load_is_told_and_loaded_later(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise FileNotFoundError("the weights are not on this machine")

    sample_id = dataset.first().id
    with monkeypatch.context() as patched:
        patched.setattr("ovsam_plugin.curation.segment_panel.load_shared_network", fail)
        told = call("look", dataset, sample_id=sample_id, field="clicked")
        assert told == {"problem": "the weights are not on this machine"}
    assert call("look", dataset, sample_id=sample_id, field="clicked")["width"] == 451


def test_a_server_that_was_started_anew_goes_on(dataset: fo.Dataset) -> None:
    sample_id = dataset.first().id
    call("look", dataset, sample_id=sample_id, field="clicked")
    # All that a server keeps; what was clicked is in the browser.
    load_shared_network().encodings.clear()
    asked = {**CAT, "by": "ada"}
    told = change(dataset, sample_id, "add", **asked)
    assert told["instances"][0]["label"] == "cat"
    dataset.reload()
    assert dataset.first().clicked.detections[0].reviewed_by == "ada"


def test_a_broken_label_costs_itself_alone(dataset: fo.Dataset) -> None:
    broken: dict[str, dict[str, Any]] = {
        "gone": {"bounding_box": [0.1, 0.1, 0.2, 0.2], "mask_path": "/nowhere/mask.png"},
        "far": {"bounding_box": [9.0, 0.1, 0.2, 0.2]},
        "nan": {"bounding_box": [float("nan"), 0.1, 0.2, 0.2]},
        "none": {"bounding_box": []},
        "bytes": {"bounding_box": [0.1, 0.1, 0.2, 0.2]},
    }
    sound = fo.Detection(label="cup", bounding_box=[0.3, 0.3, 0.2, 0.2], objectness=float("nan"))
    made = [fo.Detection(label=name, **label) for name, label in broken.items()]
    sample = dataset.first()
    sample["clicked"] = fo.Detections(detections=[*made, sound])
    sample.save()
    bytes_of_no_mask = {"$set": {"clicked.detections.4.mask": b"none"}}
    sample_documents(dataset).update_one({"_id": sample._id}, bytes_of_no_mask)
    sample_id = sample.id
    del sample  # FiftyOne reads what is in memory anew, and cannot
    looked = call("look", dataset, sample_id=sample_id, field="clicked")
    (there,) = looked["instances"]
    assert (there["label"], there["objectness"]) == ("cup", None)
    assert there["at"] == pytest.approx([0.3 * 451, 90, 0.5 * 451, 150])
    assert looked["left_out"].startswith("5 in 'clicked' cannot be drawn (gone: the mask's file")
    added = change(dataset, sample_id, "add", **CAT)
    assert [one["label"] for one in added["instances"]] == ["cup", "cat"]


def test_a_photograph_of_any_slice_is_worked_on(two_slices: fo.Dataset) -> None:
    right = two_slices.select_group_slices(["right"]).first()
    looked = call("look", two_slices, sample_id=right.id, field="ovsam")
    assert [one["label"] for one in looked["instances"]] == ["cup", "spoon"]
    spoon = looked["instances"][1]["id"]
    asked = {"field": "ovsam", "label_id": spoon, "name": "ladle"}
    renamed = change(two_slices, right.id, "rename", **asked)
    assert [one["label"] for one in renamed["instances"]] == ["cup", "ladle"]
    added = change(two_slices, right.id, "add", **{**CAT, "points": [[300, 150, 1]]})
    assert len(added["instances"]) == 1
    beside = call("ahead", two_slices, sample_id=right.id)
    assert beside == {"previous": None, "next": None}


def test_of_a_patch_its_photograph_is_looked_at(labelled: fo.Dataset) -> None:
    patches, (first, second, _) = labelled.to_patches("ovsam"), labelled.values("id")

    def answer(name: str, **params: Any) -> dict[str, Any]:
        ctx = {"view": patches, "params": params}
        told: dict[str, Any] = foo.execute_operator(f"@ovsam/curation/segment_{name}", ctx).result
        return told

    for asked in ({}, {"sample_id": patches.last().id}):
        opened = answer("open", **asked)["sample_id"]
        assert answer("look", sample_id=opened, field="clicked")["left_out"] == ""
        assert opened == labelled.values("id")[-1 if asked else 0]
    assert answer("ahead", sample_id=first) == {"previous": None, "next": second}


def test_instances_of_other_fields_are_counted_beside_those_of_the_chosen_one(
    labelled: fo.Dataset,
) -> None:
    first = {"sample_id": labelled.first().id}
    looked = call("look", labelled, field="clicked", **first)
    assert (looked["instances"], looked["elsewhere"]) == ([], {"ovsam": 3})
    looked = call("look", labelled, field="ovsam", **first)
    assert (len(looked["instances"]), looked["elsewhere"]) == (3, {})
