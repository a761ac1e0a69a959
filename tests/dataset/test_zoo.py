"""What the zoo does with a model: fetch, load and ask."""

from __future__ import annotations

import json
from pathlib import Path

import fiftyone as fo
import fiftyone.zoo as foz
import pytest
from fiftyone.operators.executor import ExecutionContext

from ovsam_plugin.dataset.text_model import TextModel
from ovsam_plugin.dataset.zoo import download_model, load_model, resolve_input


@pytest.mark.parametrize("name", ["ovsam-rn50x16-coco", "ovsam-rn50x16-lvis"])
def test_weights_whose_licence_is_not_accepted_are_a_clear_error(name: str) -> None:
    with pytest.raises(FileNotFoundError) as refused:
        foz.load_zoo_model(name)
    for said in (
        "S-Lab License 1.0",
        f"ovsam weights fetch {name}",
        "given as the weights",
        "ovsam-lite",
    ):
        assert said in str(refused.value)


def test_the_form_of_the_zoo_model_gives_its_arguments(dataset: fo.Dataset) -> None:
    entry = foz.get_zoo_model("ovsam-lite")
    ctx = ExecutionContext({"dataset_name": dataset.name, "params": {}})
    properties = entry.resolve_input(ctx).to_json()["type"]["properties"]
    assert set(properties) == {"vocabulary", "refine_masks"}
    params = {"vocabulary": "", "refine_masks": False}
    entry.parse_parameters(ctx, params)
    assert params == {"refine_masks": False}


def test_a_note_is_left_only_where_the_weights_are_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note = tmp_path / "note.json"
    download_model("ovsam-rn50x16-coco", str(note))
    assert not note.exists()
    assert "ovsam weights fetch ovsam-rn50x16-coco" in caplog.text
    for name in ("ovsam-lite", "ovsam-lite-text"):
        download_model(name, str(note))
        assert json.loads(note.read_text()) == {"model": name}


def test_a_model_that_only_reads_words_asks_nothing_and_needs_no_network(
    dataset: fo.Dataset,
) -> None:
    ctx = ExecutionContext({"dataset_name": dataset.name, "params": {}})
    assert resolve_input("ovsam-lite-text", ctx).to_json()["type"]["properties"] == {}
    assert isinstance(load_model("ovsam-lite-text", device="cpu"), TextModel)
    with pytest.raises(ValueError, match="unknown preset|no-such"):
        load_model("no-such")
