from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from rich.console import Console
from safetensors.torch import load_file, save_file

from ovsam_plugin.checkpoint import load_network
from ovsam_plugin.network.objectness import LEVELS
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.asked import Asked
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.data import UNKNOWN_CLASS, normalize
from ovsam_plugin.training.engine import Schedule, run
from ovsam_plugin.training.imagenet import imagenet_weights, load_timm_by_order
from ovsam_plugin.training.lite import LiteRecipe, LiteSettings
from tests.training.small import rectangle_crop, small_set

SCHEDULE = Schedule(steps=3, warmup=1, checkpoint_every=2, validate_every=3)
LOSSES = {"coarse", "mask", "quality", "things", "name"}
CROP = rectangle_crop((4, 4, 40, 40), (30, 30, 60, 60))


def quiet() -> Console:
    return Console(file=io.StringIO())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of which two are kept back; of the classes cup is novel and train base."""
    return small_set(tmp_path_factory.mktemp("set"), 7, ["cup", "train"])


@pytest.fixture(scope="module")
def made(file: Path) -> LiteRecipe:
    torch.manual_seed(0)
    settings = LiteSettings(
        images=file.parent / "images", annotations=file, batch=2, crop=64, max_instances=2
    )
    return LiteRecipe(settings)


@pytest.fixture(scope="module")
def state(made: LiteRecipe) -> dict[str, torch.Tensor]:
    """What the recipe starts with."""
    return {k: v.clone() for k, v in made.state_dict().items()}


@pytest.fixture
def recipe(made: LiteRecipe, state: dict[str, torch.Tensor]) -> LiteRecipe:
    """As if made anew."""
    made.load_state_dict(state)
    made.zero_grad()
    return made.train()


def test_a_short_run_writes_weights_that_load_and_what_made_them(
    recipe: LiteRecipe, tmp_path: Path
) -> None:
    run(recipe, tmp_path, SCHEDULE, quiet())
    weights = tmp_path / "ovsam-lite.safetensors"
    network, _ = load_network(get_preset("ovsam-lite"), weights)
    frozen = torch.load(imagenet_weights(), weights_only=True)["_conv_stem.weight"]
    torch.testing.assert_close(network.backbone.conv_stem.weight, frozen.half().float())
    table = network.backbone.get_buffer("class_embeddings")
    assert table.norm(dim=1).sub(1).abs().max() < 1e-2
    assert all(t.dtype != torch.float32 for t in load_file(weights).values())
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"]["images"] == "images"
    assert record["settings"]["crop"] == 64
    assert record["start_sha256"] is None
    assert len(record["annotations_sha256"]) == len(record["encoder_sha256"]) == 64
    log = (tmp_path / "log.csv").read_text()
    assert all(f"3,validation/{name}," in log for name in ("top-1", "box IoU", "point IoU"))


@pytest.fixture(params=["no", "bf16"])
def schedule(request: pytest.FixtureRequest) -> Iterator[Schedule]:
    """In each precision that a CPU has; accelerate remembers a process's."""
    AcceleratorState._reset_state()
    yield replace(SCHEDULE, precision=request.param)
    AcceleratorState._reset_state()


def test_a_run_that_is_stopped_and_goes_on_gives_the_same_weights_to_the_bit(
    recipe: LiteRecipe, state: dict[str, torch.Tensor], schedule: Schedule, tmp_path: Path
) -> None:
    run(recipe, tmp_path / "whole", schedule, quiet())
    recipe.load_state_dict(state)

    def stop(_: object, given: tuple[list[Crop], torch.Generator]) -> None:
        if (tmp_path / "part" / "checkpoint.pt").exists():
            raise KeyboardInterrupt

    handle = recipe.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "part", schedule, quiet())
    handle.remove()
    recipe.load_state_dict(state)
    run(recipe, tmp_path / "part", schedule, quiet())
    name = "ovsam-lite.safetensors"
    whole, part = load_file(tmp_path / "whole" / name), load_file(tmp_path / "part" / name)
    assert whole.keys() == part.keys()
    assert all(torch.equal(whole[k], part[k]) for k in whole)


def test_every_loss_is_there_and_every_trained_part_gets_a_gradient(recipe: LiteRecipe) -> None:
    total = torch.zeros(())
    for seed in range(4):  # prompts of every kind
        losses = recipe([CROP, CROP], seeded(seed))
        assert losses.keys() == LOSSES
        assert all(float(loss.detach()) > 0 for loss in losses.values())
        total = total + torch.stack(list(losses.values())).sum()
    total.backward()
    trained = {n for n, p in recipe.named_parameters() if p.requires_grad}
    assert not any("backbone" in n or "label_mlp" in n for n in trained)
    parts = ("neck", "fpn_neck", "pe", "mask_decoder", "objectness", "region_masks")
    assert {n.split(".")[1] for n in trained} == set(parts)
    without = {n for n, p in recipe.named_parameters() if p.requires_grad and p.grad is None}
    # No box of this crop is large enough for the coarsest level of the pyramid.
    assert all(n.startswith(("network.pe.", "network.fpn_neck.fpn_convs.3")) for n in without)


def test_the_same_chance_gives_the_same_losses_and_another_others(recipe: LiteRecipe) -> None:
    recipe.eval()
    with torch.inference_mode():
        a, b, c = (recipe([CROP], seeded(seed)) for seed in (1, 1, 2))
    assert a == b
    assert a != c


def test_losses_in_half_precision_are_nearly_those_in_whole(recipe: LiteRecipe) -> None:
    recipe.eval()
    with torch.inference_mode():
        whole = recipe([CROP], seeded())
        with torch.autocast("cpu", torch.bfloat16):
            half = recipe([CROP], seeded())
    for name in LOSSES:
        torch.testing.assert_close(half[name].float(), whole[name], rtol=0.1, atol=0.02)


def test_a_crop_with_nothing_on_it_has_no_loss_and_does_no_harm(recipe: LiteRecipe) -> None:
    nothing = rectangle_crop()
    alone = recipe([nothing], seeded())
    assert {name: float(loss.detach()) for name, loss in alone.items()} == dict.fromkeys(LOSSES, 0)
    torch.stack(list(alone.values())).sum().backward()
    recipe.eval()
    with torch.inference_mode():
        beside = recipe([nothing, CROP], seeded())
        without = recipe([CROP], seeded())
    for name in LOSSES:
        torch.testing.assert_close(beside[name], without[name], rtol=1e-4, atol=1e-5)


def test_regions_without_a_name_teach_masks_alone(recipe: LiteRecipe) -> None:
    regions = replace(CROP, classes=torch.full((2,), UNKNOWN_CLASS))
    losses = recipe([regions], seeded())
    assert losses["name"] == losses["things"] == 0
    assert min(losses["coarse"], losses["mask"], losses["quality"]) > 0


def test_the_folded_encoder_gives_what_the_unfolded_one_gives(recipe: LiteRecipe) -> None:
    pixels = normalize([CROP], recipe.network.description)
    recipe.eval()
    with torch.inference_mode():
        folded, unfolded = recipe.encoder[0](pixels), recipe.network.backbone(pixels)
    for a, b in zip(folded, unfolded):
        assert b.abs().max() > 0.1
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert not any(n.startswith("encoder") for n, _ in recipe.named_parameters())


def test_validation_reads_what_is_kept_back_and_gives_shares(recipe: LiteRecipe) -> None:
    assert {f"{i}.png" for i in recipe.kept_back.ids} == {"0.png", "6.png"}
    assert recipe.kept_back.names == recipe.data.names == ["cup", "train"]
    figures = recipe.validate()
    assert set(figures) == {
        "top-1", "top-5", "box IoU", "point IoU", "point IoU, best of 3"
    }  # fmt: skip
    assert all(0 <= value <= 1 for value in figures.values())
    assert figures["point IoU, best of 3"] >= figures["point IoU"]
    assert recipe.validate() == figures


def test_names_alone_of_base_classes_alone_from_weights_of_ones_own(
    file: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    known = {
        k.removeprefix("network."): v.half() for k, v in state.items() if k.startswith("network.")
    }
    left = {k: v for k, v in known.items() if not k.startswith("mask_decoder.head")}
    left["fpn_neck.lateral_convs.0.conv.bias"] = torch.full((64,), 0.5).half()
    left["region_masks.output.weight"] = torch.zeros(3)  # of another shape
    save_file(left, tmp_path / "start.safetensors")
    recipe = LiteRecipe(
        LiteSettings(
            images=file.parent / "images",
            annotations=file,
            crop=64,
            classes="base",
            tasks=("names",),
            start=tmp_path / "start.safetensors",
            known_rate=0.1,
            frozen=("fpn_neck.lateral_convs.3",),
        )
    )
    # Cup is novel.
    assert {
        recipe.data.names[c] for i in recipe.data.ids for c in recipe.data._annotated(i)[2]
    } == {"train"}
    assert {c for i in recipe.kept_back.ids for c in recipe.kept_back._annotated(i)[2]} == {0, 1}
    assert recipe.network.fpn_neck.lateral_convs[0].conv.bias.eq(0.5).all()
    assert recipe.rate("network.fpn_neck.lateral_convs.0.conv.bias") == 0.1
    assert recipe.rate("network.region_masks.output.weight") == 1
    # Left out, and of another shape, are the same two kinds of tensors that start anew.
    anew = len(known) - (len(left) - 1)
    fit = f"{len(left) - 1} of the {len(left)} tensors of start.safetensors fit"
    assert recipe.notice == f"start: {fit}, and {anew} of the network's {len(known)} start anew"
    losses = recipe([CROP], seeded())
    assert losses.keys() == {"name"}
    losses["name"].backward()
    taught = {n for n, p in recipe.network.named_parameters() if p.grad is not None}
    assert {n.split(".")[0] for n in taught} == {"fpn_neck", "mask_decoder"}
    assert not any(n.startswith("mask_decoder.mask_decoder") for n in taught)
    assert not any(n.startswith("fpn_neck.lateral_convs.3") for n in taught)
    assert recipe.validate().keys() == {"top-1", "top-5"}


@pytest.mark.parametrize("tensors", [{"other.weight": (3,)}, {"fpn_neck.fpn_convs.0.bias": (3,)}])
def test_a_start_of_which_nothing_fits_is_refused(
    recipe: LiteRecipe, tmp_path: Path, tensors: dict[str, tuple[int, ...]]
) -> None:
    path = tmp_path / "start.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, path)
    with pytest.raises(ValueError, match="none of the 1 tensors of .*start.safetensors has the"):
        recipe._start(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="start.safetensors is not a sound safetensors file"):
        recipe._start(path)


def test_of_the_guesses_for_a_point_only_the_best_near_one_is_taught_to_draw() -> None:
    truth = torch.tensor([[0.0, 0, 20, 20]])
    near, far = truth[0], torch.tensor([40.0, 40, 60, 60])
    n = 1 + 2 * len(LEVELS)
    asked = Asked(
        index=torch.zeros(n),
        boxes=torch.stack([far, near, near, near, far, near, near]),
        masks=torch.zeros(n, 64, 64, dtype=torch.bool),
        truth=truth.expand(n, -1),
        prompts=PromptBatch(),
        coarse=None,
        guess=torch.tensor([False] + [True] * 6),
    )
    iou = torch.tensor([0.0, 0.2, 0.9, 0.3, 0.8, 0.7, 0.1])
    # Of the second point the best answer is from a box far off, and no other is taken in its place.
    assert asked.taught(iou).tolist() == [True, False, True, False, False, False, False]


def test_what_is_asked_of_several_crops_is_put_together_in_order() -> None:
    which = torch.tensor([1, 0])
    points = PromptBatch(points=torch.ones(2, 1, 2), point_labels=torch.ones(2, 1))
    coarse = torch.ones(2, 1, 16, 16)
    parts = [
        Asked.of(0, CROP, which, CROP.boxes[which], points, coarse),
        Asked.of(1, CROP, which[:1], CROP.boxes[:1], guess=True),
    ]
    both = Asked.concatenate(parts, 64)
    assert both.index.tolist() == [0, 0, 1]
    assert torch.equal(both.truth, CROP.boxes[[1, 0, 1]])
    assert torch.equal(both.masks, CROP.masks[[1, 0, 1]])
    assert both.guess.tolist() == [False, False, True]
    assert both.coarse is not None
    assert both.coarse.sum((1, 2, 3)).tolist() == [256, 256, 0]
    assert both.prompts.point_labels is not None
    assert both.prompts.point_labels.tolist() == [[1, -1, -1], [1, -1, -1], [-1, -1, -1]]


def test_weights_of_another_network_are_no_start_for_the_encoder(
    recipe: LiteRecipe, tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth is not an EfficientNet-Lite0 state dict"):
        load_timm_by_order(recipe.network, tmp_path / "other.pth")
