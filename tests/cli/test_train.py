"""`ovsam train` as a user runs it, on noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from ovsam_plugin.cli.ovsam import app
from tests.cli.calling import told
from tests.training.small import small_set

CONFIG = """
out = "run"
complete = [["images", "coco.json"]]
tasks = ["names"]
batch = 2
crop = 64

[schedule]
steps = 2
warmup = 1
checkpoint_every = 1
validate_every = 2
"""
PAIR = 'images = "images"\nannotations = "coco.json"'


def train(recipe: str, config: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["train", recipe, str(config), *options])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run of `ovsam-lite` on six photographs."""
    small_set(tmp_path)
    path = tmp_path / "lite.toml"
    path.write_text(CONFIG)
    return path


def test_a_run_is_made_gone_on_from_and_made_again(config: Path) -> None:
    out = config.parent / "run"
    first = train("lite", config)
    assert first.exit_code == 0, first.output
    assert "continuing" not in first.output
    assert "top-1" in first.output
    assert {p.name for p in out.iterdir()} == {
        "checkpoint.pt",
        "log.csv",
        "ovsam-lite.safetensors",
        "run.json",
    }
    weights = (out / "ovsam-lite.safetensors").read_bytes()
    config.write_text(CONFIG.replace("steps = 2", "steps = 3"))
    longer = train("lite", config)
    assert "continuing from" in longer.output
    assert (out / "ovsam-lite.safetensors").read_bytes() != weights
    steps = {line.split(",")[0] for line in (out / "log.csv").read_text().splitlines()[1:]}
    assert steps == {"2", "3"}
    config.write_text(CONFIG)
    again = told("train", "lite", config, "--restart")
    assert (out / "ovsam-lite.safetensors").read_bytes() == weights
    assert again["weights"] == [str(out / "ovsam-lite.safetensors")]
    assert (again["recipe"], again["step"]) == ("lite", 2)
    assert max(again["losses"].values()) > 0
    assert 0 <= again["figures"]["top-1"] <= 1
    # A run that is done is summed up again from its log.
    once_more = told("train", "lite", config)
    assert once_more["step"] == 2
    assert once_more["figures"] == pytest.approx(again["figures"], rel=1e-4)


def test_a_learned_context_is_told_too(config: Path) -> None:
    categories = json.loads((config.parent / "coco.json").read_text())["categories"]
    names = ", ".join(each["name"] for each in categories)
    method = f'method = "image-crop"\nvocabulary = "{names},"'
    config.write_text(f'out = "run"\n{PAIR}\n{method}\n[schedule]\nsteps = 2\n')
    made = told("train", "coop", config)
    assert made["weights"] == [str(config.parent / "run" / "image-crop.safetensors")]
    assert Path(made["weights"][0]).is_file()
    assert made["step"] == 2
    assert made["losses"]["coop"] > 0


def test_starting_again_forgets_nothing_before_the_data_is_there(config: Path) -> None:
    assert train("lite", config).exit_code == 0
    checkpoint = config.parent / "run" / "checkpoint.pt"
    (config.parent / "coco.json").rename(config.parent / "away.json")
    assert train("lite", config, "--restart").exit_code == 1
    assert checkpoint.exists()


def test_starting_a_context_again_forgets_its_checkpoint(config: Path) -> None:
    folder = config.parent / "run"
    folder.mkdir()
    (folder / "image-crop.checkpoint").write_bytes(b"damaged")
    method = 'method = "image-crop"\nvocabulary = "cat, cup"'
    config.write_text(f'out = "run"\n{PAIR}\n{method}\n[schedule]\nsteps = 2\n')
    refused = train("coop", config)
    assert refused.exit_code == 1
    assert "not a valid checkpoint" in refused.output
    again = train("coop", config, "--restart")
    assert again.exit_code == 0, again.output


def test_what_of_a_start_is_taken_is_said(config: Path) -> None:
    tensors = {"other": torch.zeros(3), "mask_decoder.label_token.weight": torch.ones(1, 128)}
    save_file(tensors, config.parent / "start.safetensors")
    config.write_text('start = "start.safetensors"\n' + CONFIG)
    result = train("lite", config)
    assert result.exit_code == 0, result.output
    assert "start: 1 of the 2 tensors of start.safetensors fit, and " in result.output


@pytest.mark.parametrize(
    ("recipe", "change", "reason"),
    [
        ("light", ("", ""), "recipe 'light': expected one of sam2clip, clip2sam, lite"),
        ("lite", ("crop = 64", "crops = 64"), "crops: is not a setting of this recipe"),
        ("lite", ('complete = [["images", "coco.json"]]\n', ""), "complete: is missing"),
        ("lite", ("steps = 2", "steps = ["), "is not TOML"),
    ],
)
def test_a_configuration_that_cannot_be_is_an_error_of_usage(
    config: Path, recipe: str, change: tuple[str, str], reason: str
) -> None:
    config.write_text(CONFIG.replace(*change))
    result = train(recipe, config)
    assert result.exit_code == 2
    assert reason in result.output
    assert "Traceback" not in result.output


def test_a_configuration_that_is_not_there_is_an_error_of_usage(tmp_path: Path) -> None:
    result = train("lite", tmp_path / "absent.toml")
    assert result.exit_code == 2
    assert "examples are in recipes/" in result.output


def test_data_that_is_not_there_or_is_wrong_is_said_in_one_message(config: Path) -> None:
    folder = config.parent
    (folder / "images" / "1.png").unlink()
    result = train("lite", config)
    assert result.exit_code == 1
    assert "1 annotated photograph is not in its folder: 1.png" in result.output
    content = json.loads((folder / "coco.json").read_text())
    del content["categories"]
    (folder / "coco.json").write_text(json.dumps(content))
    result = train("lite", config)
    assert result.exit_code == 1
    assert "annotation 0: it is of class 1, which is not listed" in result.output
    (folder / "coco.json").unlink()
    result = train("lite", config)
    assert result.exit_code == 1
    assert "no annotation file at" in result.output
    assert "Traceback" not in result.output


def test_weights_that_are_not_there_are_named(config: Path) -> None:
    text = CONFIG.replace('tasks = ["names"]', 'weights = "absent.safetensors"')
    text = text.replace('complete = [["images", "coco.json"]]', PAIR)
    config.write_text(text)
    result = train("clip2sam", config)
    assert result.exit_code == 1
    assert "no weights at" in result.output
    assert "absent.safetensors" in result.output
