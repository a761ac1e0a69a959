from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from ovsam_plugin.checkpoints.preset_weights import load_network
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.training.clip2sam import (
    Clip2SamRecipe,
    Clip2SamSettings,
    WholePhotographs,
    padded,
    wordnet_names,
)
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.loop import Schedule, run
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary
from tests.training.small import (
    noise,
    photographs,
    rectangle_crop,
    small_set,
    tiny_network,
    tiny_preset,
)

SCHEDULE = Schedule(steps=5, warmup=1, checkpoint_every=2, validate_every=5)


def classifier(vocabulary: Vocabulary) -> Classifier:
    """Two random synonyms a class."""
    count = len(vocabulary)
    rows = np.random.default_rng(0).standard_normal((2 * count, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Classifier(vocabulary, rows, np.arange(count).repeat(2))


def recipe(file: Path, classes: list[str], **settings: object) -> Clip2SamRecipe:
    given = {"crop": 64, "prompts": 4, "workers": 0, "kept_back": 0.0, **settings}
    made = Clip2SamSettings(
        images=file.parent / "images",
        annotations=file,
        weights=file,
        **given,  # type: ignore[arg-type]
    )
    return Clip2SamRecipe(made, tiny_network(), classifier(load_vocabulary(classes)), tiny_preset())


def quiet() -> Console:
    return Console(file=io.StringIO())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


CROP = rectangle_crop((4, 4, 40, 40), (30, 30, 60, 60))


def test_prompts_are_filled_up_with_copies_in_random_order() -> None:
    few = padded(3, 10, seeded())
    assert len(few) == 10
    assert set(few.tolist()) == {0, 1, 2}
    assert few.tolist() != sorted(few.tolist())
    many = padded(30, 10, seeded())
    assert len(set(many.tolist())) == 10
    assert set(many.tolist()) != set(padded(30, 10, seeded(1)).tolist())


@pytest.mark.parametrize(("prompts", "boxes", "points"), [(4, 2, 2), (5, 2, 3), (1, 0, 1)])
def test_half_of_the_prompts_are_boxes_and_half_points_on_their_own_instances(
    tmp_path: Path, prompts: int, boxes: int, points: int
) -> None:
    made = recipe(small_set(tmp_path, 2), ["cat", "cup"], prompts=prompts)
    asked: list[PromptBatch] = []
    decoder = made.network.mask_decoder.mask_decoder
    decoder.register_forward_pre_hook(lambda _, given: asked.append(given[6]))
    made([CROP], seeded())
    kinds = {"box": 0, "point": 0}
    for batch in asked:
        if batch.boxes is not None:
            kinds["box"] += len(batch)
            assert (batch.boxes[:, None] == CROP.boxes).all(2).any(1).all()
        else:
            assert batch.points is not None
            assert batch.points.shape == (len(batch), 1, 2)
            kinds["point"] += len(batch)
            x, y = batch.points[:, 0].long().unbind(1)
            assert CROP.masks[:, y, x].any(0).all()
    assert kinds == {"box": boxes, "point": points}


def test_losses_are_weighted_and_what_has_no_instance_has_none(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2)
    plain = recipe(file, ["cat", "cup"], class_weight=1.0, mask_weight=1.0, dice_weight=1.0)
    paper = recipe(file, ["cat", "cup"])
    once, losses = (made([CROP], seeded()) for made in (plain, paper))
    for name, weight in (("class", 2), ("mask", 5), ("dice", 5)):
        assert once[name] > 0
        torch.testing.assert_close(losses[name], weight * once[name])
    nothing = paper([rectangle_crop()], seeded())
    assert {name: float(v.detach()) for name, v in nothing.items()} == {
        "class": 0,
        "mask": 0,
        "dice": 0,
    }
    torch.stack(list(nothing.values())).sum().backward()


def test_crops_of_a_batch_are_answered_from_their_own_photograph(tmp_path: Path) -> None:
    """The loss of two crops is the mean of each alone, where both have as many prompts."""
    made = recipe(small_set(tmp_path, 2), ["cat", "cup"], prompts=2).eval()
    one = rectangle_crop((4, 4, 40, 40), classes=[0])
    pixels = torch.from_numpy(noise(9, 64, 64)).permute(2, 0, 1)
    two = replace(rectangle_crop((20, 8, 60, 50), classes=[1]), pixels=pixels)
    with torch.inference_mode():
        together = made([one, two], seeded())["class"]
        alone = [made([crop], seeded())["class"] for crop in (one, two)]
        swapped = made([replace(one, pixels=pixels)], seeded())["class"]
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)
    assert abs(alone[0] - swapped) > 1e-3


def test_only_pyramid_decoder_and_head_are_trained(tmp_path: Path) -> None:
    made = recipe(small_set(tmp_path, 2), ["cat", "cup"])
    made.train()
    torch.stack(list(made([CROP], seeded()).values())).sum().backward()
    parameters = dict(made.network.named_parameters())
    trained = {n for n, p in parameters.items() if p.requires_grad}
    assert trained == {
        n
        for n in parameters
        if n.startswith(("fpn_neck.", "mask_decoder.")) and "label_mlp" not in n
    }
    # A level of the pyramid that no box is read from has none.
    taught = {n for n, p in parameters.items() if p.grad is not None}
    assert taught <= trained
    assert all(n.startswith("fpn_neck.fpn_convs.") for n in trained - taught)
    assert not made.network.backbone.training


def test_whole_photographs_teach_names_and_no_mask(tmp_path: Path) -> None:
    made = recipe(small_set(tmp_path, 2), ["cat", "cup"])
    whole = replace(rectangle_crop((0, 0, 64, 48), classes=[0]), whole=True)
    losses = made([whole], seeded())
    assert losses["class"] > 0
    assert losses["mask"] == losses["dice"] == 0
    torch.stack(list(losses.values())).sum().backward()
    taught = {
        n for n, p in made.network.named_parameters() if p.grad is not None and p.grad.abs().sum()
    }
    assert {n for n in taught if not n.startswith("fpn_neck.")} == {
        "mask_decoder.roi_conv.0.conv.weight"
    }
    assert any(n.startswith("fpn_neck.") for n in taught)


def image_folders(folder: Path) -> Path:
    photographs(folder / "n01443537", 2)
    photographs(folder / "Mug", 1)
    photographs(folder / "cat", 3)
    (folder / "readme.txt").touch()
    return folder


def test_folders_of_photographs_widen_the_vocabulary(tmp_path: Path) -> None:
    """By their own names or their WordNet ids; what is known already is not added again."""
    folders = image_folders(tmp_path / "folders")
    names = ["cat", "cup", "Mug", "goldfish"]
    made = recipe(small_set(tmp_path, 2), names, image_folders=folders)
    assert made.vocabulary.names == tuple(names)
    assert made.whole is not None
    found = {(path.parent.name, label) for path, label in made.whole.items}
    assert found == {("cat", 0), ("Mug", 2), ("n01443537", 3)}
    assert len(made.whole) == 6


def test_steps_read_whole_photographs_by_their_share_also_after_a_stop(tmp_path: Path) -> None:
    names = ["cat", "cup", "Mug", "goldfish"]
    made = recipe(
        small_set(tmp_path, 4),
        names,
        image_folders=image_folders(tmp_path / "folders"),
        image_share=0.25,
    )

    def read(start: int, count: int) -> list[list[Crop]]:
        return [batch for batch, _ in zip(made.batches(start, 0, 1), range(count))]

    whole = read(0, 8)
    kinds = [batch[0].whole for batch in whole]
    assert sum(kinds) == 2
    assert all(len({crop.whole for crop in batch}) == 1 for batch in whole)
    for start in (3, 5):
        for a, b in zip(read(start, 8 - start), whole[start:]):
            assert all(torch.equal(x.pixels, y.pixels) for x, y in zip(a, b))


def test_a_whole_photograph_is_one_instance_whose_box_is_all_of_it(tmp_path: Path) -> None:
    photographs(tmp_path / "cat", 1)
    data = WholePhotographs(tmp_path, {"cat": 5}, 64, 0)
    for epoch in range(5):
        data.epoch = epoch
        crop = data[0]
        assert crop.whole
        assert crop.classes.tolist() == [5]
        x1, y1, x2, y2 = crop.boxes[0].int().tolist()
        assert crop.masks[0, y1:y2, x1:x2].all()
        assert crop.masks[0].sum() == (x2 - x1) * (y2 - y1)


def test_a_whole_photograph_that_is_damaged_teaches_nothing(tmp_path: Path) -> None:
    folders = image_folders(tmp_path)
    data = WholePhotographs(folders, {p.name: 0 for p in folders.iterdir() if p.is_dir()}, 64, 0)
    data.items[0][0].write_bytes(b"no picture")
    assert data[0].problem.startswith(str(data.items[0][0]))
    assert len(data[0].boxes) == 0


def test_folders_without_photographs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(FileNotFoundError, match="no folders of photographs in"):
        WholePhotographs(tmp_path, {"cat": 0}, 64, 0)


def test_wordnet_ids_have_names() -> None:
    assert wordnet_names()["n01443537"] == "goldfish"


def test_of_a_split_only_the_base_classes_are_seen(tmp_path: Path) -> None:
    """Cat is novel and hair drier in neither group: both are left out of data and vocabulary."""
    file = small_set(tmp_path, 2, ["cat", "train"])
    base = [c.name for c in load_vocabulary("coco").categories if c.split == "base"]
    made = recipe(file, base, vocabulary="coco", split="base")
    assert made.vocabulary.names == tuple(base)
    assert len(base) == 48
    _, _, classes, _ = made.data._annotated(*made.data.items[0])
    assert [made.data.names[c] for c in classes] == ["train"]
    assert made.class_of[classes].tolist() == [base.index("train")]
    for crop in (made.data[i] for i in range(2)):
        assert made.class_of[crop.classes].ge(0).all()


@pytest.mark.parametrize("vocabulary", [None, "imagenet-1k"])
def test_a_split_needs_a_vocabulary_that_has_one(tmp_path: Path, vocabulary: str | None) -> None:
    with pytest.raises(ValueError, match="split 'base' needs a vocabulary that has one"):
        recipe(small_set(tmp_path, 2), ["cat", "cup"], vocabulary=vocabulary, split="base")


def test_categories_that_the_vocabulary_does_not_have_are_named(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2, ["cat", "bogey"])
    with pytest.raises(ValueError, match="1 categories of .*coco.json are not in coco: bogey"):
        recipe(file, ["cat"], vocabulary="coco")


def test_a_synonym_is_as_good_as_a_name(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cup|mug\nhot dog\n")
    vocabulary = str(tmp_path / "classes.txt")
    made = recipe(
        small_set(tmp_path, 2, ["Hot_Dog", "mug"]), ["cup", "hot dog"], vocabulary=vocabulary
    )
    assert made.class_of.tolist() == [1, 0]


def test_logits_are_scaled_cosines_of_the_nearest_synonym_and_a_zero(tmp_path: Path) -> None:
    made = recipe(small_set(tmp_path, 2), ["cat", "cup"])
    rows = made.get_buffer("rows")
    expected = (3 * rows[[1, 2]] @ rows.T / 3).view(2, 2, 2).amax(2) * made.scale
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            scores = made.scores(3 * rows[[1, 2]])
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores[:, :2], expected)
        assert scores[:, 2].tolist() == [0, 0]
        assert scores.argmax(1).tolist() == [0, 1]


def test_a_run_writes_a_model_that_loads_its_trained_parts_and_what_made_it(tmp_path: Path) -> None:
    file = small_set(tmp_path, 4)
    made = recipe(file, ["cat", "cup"])
    frozen = made.network.neck.state_dict()
    frozen = {k: v.clone() for k, v in frozen.items()}
    run(made, tmp_path / "run", replace(SCHEDULE, steps=2), quiet())
    network, _ = load_network(tiny_preset(), tmp_path / "run" / "ovsam.safetensors")
    loaded = network.neck.state_dict()
    assert all(torch.equal(loaded[k], frozen[k]) for k in frozen)
    parts = load_file(tmp_path / "run" / "clip2sam.safetensors")
    assert {k.split(".")[0] for k in parts} == {"fpn_neck", "mask_decoder"}
    state = network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in parts.items())
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["prompts"] == 4
    assert record["vocabulary_hash"] == made.vocabulary.hash
    assert len(record["annotations_sha256"]) == 64
    assert record["images"] == "images"
    assert record["schedules"][0]["learning_rate"] == SCHEDULE.learning_rate


def test_a_run_that_is_stopped_and_goes_on_gives_the_same_model_to_the_bit(tmp_path: Path) -> None:
    file = small_set(tmp_path, 5)
    folders = image_folders(tmp_path / "folders")

    def made() -> Clip2SamRecipe:
        return recipe(file, ["cat", "cup", "Mug", "goldfish"], image_folders=folders)

    run(made(), tmp_path / "whole", SCHEDULE, quiet())
    stopped, left = made(), [3]

    def stop(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    stopped.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, tmp_path / "part", SCHEDULE, quiet())
    run(made(), tmp_path / "part", SCHEDULE, quiet())
    whole, part = (load_file(tmp_path / n / "ovsam.safetensors") for n in ("whole", "part"))
    assert whole.keys() == part.keys()
    assert all(torch.equal(whole[k], part[k]) for k in whole)


def test_losses_in_half_precision_are_nearly_those_in_whole(tmp_path: Path) -> None:
    made = recipe(small_set(tmp_path, 2), ["cat", "cup"]).eval()
    whole = made([CROP], seeded())
    with torch.autocast("cpu", torch.bfloat16):
        half = made([CROP], seeded())
    torch.stack(list(half.values())).sum().backward()
    for name, loss in whole.items():
        torch.testing.assert_close(half[name].float(), loss, rtol=0.1, atol=0.05)


def test_validation_gives_both_figures_or_neither(tmp_path: Path) -> None:
    made = recipe(small_set(tmp_path, 3), ["cat", "cup"])
    figures = made.validate()
    assert figures.keys() == {"IoU", "accuracy"}
    assert all(0 <= v <= 1 for v in figures.values())
    made.data.items = []
    made.held.items = []
    assert all(np.isnan(v) for v in made.validate().values())


def test_a_photograph_that_is_not_there_is_named_before_training_begins(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2)
    (tmp_path / "images" / "1.png").unlink()
    with pytest.raises(
        FileNotFoundError, match="1 annotated photograph is not in its folder: 1.png"
    ):
        recipe(file, ["cat", "cup"])


def test_a_damaged_photograph_is_named_when_it_is_read_and_stops_no_run(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2)
    Image.new("L", (3, 3)).save(tmp_path / "images" / "1.png")
    (tmp_path / "images" / "1.png").write_bytes((tmp_path / "images" / "1.png").read_bytes()[:40])
    made = recipe(file, ["cat", "cup"]).train()
    crops = [made.data[0], made.data[1]]
    assert [len(crop.boxes) > 0 for crop in crops] == [True, False]
    assert len(made.problems(crops)) == 1
    assert "1.png is" in made.problems(crops)[0]
    losses = made(crops, seeded())
    torch.testing.assert_close(losses["mask"], made(crops[:1], seeded())["mask"])
