from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ovsam_plugin.baselines import build_methods
from ovsam_plugin.baselines.context import Context, read_names
from ovsam_plugin.prediction.labeler import Labeler, load_labeler
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.training.coop import CoopSchedule, Step, train_context, train_preset_context
from ovsam_plugin.training.examples import Annotated, Examples
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower

NAMES = ("cat", "dog", "car", "bus", "cup", "spoon")
QUICK = CoopSchedule(steps=12, warmup=1, batch=64, learning_rate=0.02)


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return load_text_tower("minilm", "cpu")


@pytest.fixture(scope="module")
def examples(tower: TextTower) -> Examples:
    """Instances that all look somewhat like a bus to plain words."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(len(NAMES)).repeat(8)
    texts = torch.from_numpy(tower.encode([f"a photo of a {name}." for name in NAMES]))
    noise = torch.randn(len(classes), 384, generator=generator) * 0.03
    rows = torch.nn.functional.normalize(texts[classes] + texts[NAMES.index("bus")] + noise, dim=-1)
    return Examples(rows, classes, NAMES)


def train(examples: Examples, tower: TextTower, **more: object) -> Context:
    return train_context(examples, tower, "image-crop", QUICK, scale=20.0, **more)  # type: ignore[arg-type]


def accuracy(context: Context, examples: Examples, tower: TextTower) -> float:
    texts = read_names(tower, context.vectors, [f"{n}." for n in NAMES])  # type: ignore[arg-type]
    right = (examples.embeddings @ texts.T).argmax(1) == examples.classes
    return float(right.float().mean())


def test_training_raises_the_accuracy_and_lowers_the_loss(
    examples: Examples, tower: TextTower
) -> None:
    steps: list[Step] = []
    untrained = train_context(
        examples, tower, "image-crop", replace(QUICK, learning_rate=0.0), scale=20.0
    )
    trained = train(examples, tower, report=steps.append)
    assert accuracy(trained, examples, tower) > accuracy(untrained, examples, tower) + 0.05
    assert steps[-1].loss < 0.9 * steps[0].loss
    assert [s.step for s in steps] == list(range(1, 13))
    assert trained.provenance["instances"] == 48


def test_the_same_settings_give_the_same_vectors(examples: Examples, tower: TextTower) -> None:
    short = replace(QUICK, steps=3, length=6, batch=8)
    a, b, c = (
        train_context(examples, tower, "image-crop", settings, scale=20.0)
        for settings in (short, short, replace(short, seed=1))
    )
    assert a.vectors.shape == (6, 384)
    assert torch.equal(a.vectors, b.vectors)
    assert not torch.equal(a.vectors, c.vectors)


def test_a_stopped_run_goes_on_to_the_same_end(
    examples: Examples, tower: TextTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsam_plugin.training.coop._SAVE_STEPS", 4)
    checkpoint = tmp_path / "run.checkpoint"
    whole = train(examples, tower)

    def stop(step: Step) -> None:
        if step.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(examples, tower, checkpoint=checkpoint, report=stop)
    steps: list[Step] = []
    resumed = train(examples, tower, checkpoint=checkpoint, report=steps.append)
    assert steps[0].step == 5
    assert torch.equal(resumed.vectors, whole.vectors)
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_run_is_refused(
    examples: Examples, tower: TextTower, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run.checkpoint"
    torch.save({"run": "another", "step": 1}, checkpoint)
    with pytest.raises(ValueError, match="other settings or data"):
        train(examples, tower, checkpoint=checkpoint)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_damaged_checkpoint_is_refused(
    examples: Examples, tower: TextTower, tmp_path: Path, content: bytes
) -> None:
    checkpoint = tmp_path / "run.checkpoint"
    checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match="not a valid checkpoint: remove it to start again"):
        train(examples, tower, checkpoint=checkpoint)


def test_a_loss_that_is_not_finite_stops_the_run(examples: Examples, tower: TextTower) -> None:
    wild = replace(QUICK, learning_rate=1e38)
    with pytest.raises(FloatingPointError, match="the loss is nan at step .: lower learning_rate"):
        train_context(examples, tower, "image-crop", wild, scale=20.0)


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    return load_labeler(vocabulary="cat, cup, person", device="cpu")


def test_a_presets_context_is_trained_kept_and_used(labeler: Labeler, tmp_path: Path) -> None:
    from skimage import data

    photographs = [
        Annotated(data.chelsea(), (Box((110, 20, 410, 290)), Box((0, 0, 9, 9))), ("cat", "wall")),
        Annotated(data.coffee(), (Box((150, 100, 450, 330)),), ("cup",)),
    ]
    read: list[int] = []

    def reading() -> object:
        for photograph in photographs:
            read.append(1)
            yield photograph

    out = tmp_path / "feature.safetensors"
    settings = replace(QUICK, steps=2)
    made = train_preset_context(labeler, reading(), "feature-crop", out, settings)  # type: ignore[arg-type]
    again = train_preset_context(labeler, reading(), "feature-crop", out, settings)  # type: ignore[arg-type]
    assert len(read) == 2
    assert torch.equal(made.vectors, again.vectors)
    assert made.provenance["instances"] == 2
    assert made.provenance["weights"] == labeler.predictor.weights_hash
    plain, learned = build_methods(["feature-crop", "feature-crop+coop"], labeler, [out])
    names = [m.label(data.chelsea(), [Box((110, 20, 410, 290))])[1] for m in (plain, learned)]
    assert names[0] is not None
    assert names[1] is not None
    assert names[1].names == ("cat",)
    assert np.abs(names[0].confidence - names[1].confidence).max() > 0
    with pytest.raises(
        ValueError, match="image-crop\\+coop needs a context learned for image-crop"
    ):
        build_methods(["image-crop+coop"], labeler, [out])


def test_kept_instances_of_other_annotations_are_not_taken(
    labeler: Labeler, tmp_path: Path
) -> None:
    from skimage import data

    seen = [Annotated(data.chelsea(), (Box((110, 20, 410, 290)),), ("cat",))]
    out, quick = tmp_path / "feature.safetensors", replace(QUICK, steps=1)
    train_preset_context(labeler, seen, "feature-crop", out, quick, data={"annotations": "a"})
    with pytest.raises(ValueError, match="annotation file: remove it"):
        train_preset_context(labeler, seen, "feature-crop", out, quick, data={"annotations": "b"})


def test_a_context_that_could_learn_nothing_is_refused(labeler: Labeler, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no instance to learn from"):
        train_preset_context(labeler, [], "image-crop", tmp_path / "c.safetensors", QUICK)
    with pytest.raises(ValueError, match="'ovsam' has no context"):
        train_preset_context(labeler, [], "ovsam", tmp_path / "c.safetensors", QUICK)
