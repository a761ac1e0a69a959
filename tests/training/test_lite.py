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

from ovsam_plugin.checkpoints.preset_weights import load_network
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.data import UNKNOWN_CLASS, normalize
from ovsam_plugin.training.imagenet import imagenet_weights, load_timm_by_order
from ovsam_plugin.training.lite import LiteRecipe
from ovsam_plugin.training.lite_settings import LiteSettings, part_of
from ovsam_plugin.training.loop import Schedule, run
from ovsam_plugin.training.proposals import assign, known_cells
from tests.training.small import rectangle_crop, small_set

SCHEDULE = Schedule(steps=3, warmup=1, checkpoint_every=2, validate_every=3)
LOSSES = {"coarse", "mask", "quality", "whole", "things", "name", "moved"}
FIGURES = {
    "top-1", "top-5", "box IoU", "point IoU", "things of the best 5", "found by 50"
}  # fmt: skip
CROP = rectangle_crop((4, 4, 40, 40), (30, 30, 60, 60))


def quiet() -> Console:
    return Console(file=io.StringIO())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs, two to judge by and two to choose by; cup is novel and train base."""
    return small_set(tmp_path_factory.mktemp("set"), 8, ["cup", "train"])


def settings(file: Path, **others: object) -> LiteSettings:
    files = ((file.parent / "images", file),)
    given = {"complete": files, "batch": 2, "crop": 64, "max_instances": 2, **others}
    return LiteSettings(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(file: Path) -> LiteRecipe:
    torch.manual_seed(0)
    return LiteRecipe(settings(file))


@pytest.fixture(scope="module")
def made_to_tune(file: Path) -> LiteRecipe:
    """One that trains the encoder's later blocks too."""
    torch.manual_seed(0)
    return LiteRecipe(settings(file, encoder_rate=0.1))


def copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def as_new(recipe: LiteRecipe, state: dict[str, torch.Tensor]) -> LiteRecipe:
    recipe.load_state_dict(state)
    recipe.zero_grad()
    return recipe.train()


@pytest.fixture(scope="module")
def state(made: LiteRecipe) -> dict[str, torch.Tensor]:
    """What the recipe starts with."""
    return copied(made)


@pytest.fixture(scope="module")
def state_to_tune(made_to_tune: LiteRecipe) -> dict[str, torch.Tensor]:
    return copied(made_to_tune)


@pytest.fixture
def recipe(made: LiteRecipe, state: dict[str, torch.Tensor]) -> LiteRecipe:
    return as_new(made, state)


@pytest.fixture
def tuned(made_to_tune: LiteRecipe, state_to_tune: dict[str, torch.Tensor]) -> LiteRecipe:
    return as_new(made_to_tune, state_to_tune)


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
    assert record["settings"]["complete"] == [["images", "coco.json"]]
    assert record["settings"]["crop"] == 64
    assert record["start_sha256"] is None
    hashes = [*record["annotations_sha256"], record["encoder_sha256"]]
    assert [len(each) for each in hashes] == [64, 64]
    log = (tmp_path / "log.csv").read_text()
    assert all(f"3,validation/{name}," in log for name in FIGURES)


@pytest.fixture(params=["no", "bf16"])
def schedule(request: pytest.FixtureRequest) -> Iterator[Schedule]:
    """In each precision that a CPU has; accelerate remembers a process's."""
    AcceleratorState._reset_state()
    yield replace(SCHEDULE, precision=request.param)
    AcceleratorState._reset_state()


@pytest.fixture(params=["recipe", "tuned"])
def either(request: pytest.FixtureRequest) -> LiteRecipe:
    """The encoder as it is, and its later blocks trained."""
    recipe: LiteRecipe = request.getfixturevalue(request.param)
    return recipe


def test_a_run_that_is_stopped_and_goes_on_gives_the_same_weights_to_the_bit(
    either: LiteRecipe, schedule: Schedule, tmp_path: Path
) -> None:
    recipe, state = either, copied(either)
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
        # The encoder is as it was.
        assert all((float(loss.detach()) > 0) == (n != "moved") for n, loss in losses.items())
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
        beside = recipe([CROP, nothing], seeded())
        without = recipe([CROP], seeded())
    for name in LOSSES:
        torch.testing.assert_close(beside[name], without[name], rtol=1e-4, atol=1e-5)


def test_a_crop_of_an_incomplete_source_does_not_teach_that_the_rest_is_background(
    recipe: LiteRecipe,
) -> None:
    """No cell off the things is taught, and no proposal there is taken for no thing."""
    partial = replace(CROP, unknown=~CROP.masks.any(0))
    recipe.eval()
    taught = []
    for crop in (CROP, partial):
        logits: list[torch.Tensor] = []
        head = recipe.network.objectness
        assert head is not None
        hook = head.register_forward_hook(lambda _, __, out, kept=logits: kept.append(out.logits))
        losses = recipe([crop], seeded())
        hook.remove()
        (gradient,) = torch.autograd.grad(losses["things"], logits[0])
        taught.append(gradient[0] != 0)
    known, wanted = known_cells(partial.unknown), assign(CROP.boxes, CROP.masks) >= 0
    assert taught[0].all()
    assert torch.equal(taught[1], known | wanted)
    assert 0 < taught[1].sum() < len(known)


def test_proposals_are_named_where_they_clearly_hold_a_thing_or_clearly_none() -> None:
    crop = rectangle_crop((4, 4, 24, 24), (30, 30, 60, 60), classes=[5, 3], unknown=(0, 40, 20, 64))
    boxes = torch.tensor(
        [
            [4.0, 4, 24, 22],  # the first
            [28, 30, 60, 60],  # the second
            [4, 4, 24, 14],  # half of it
            [40, 2, 60, 16],  # nothing
            [2, 42, 18, 62],  # what may be a thing that nobody outlined
        ]
    )
    kept, classes = LiteRecipe._held(crop, boxes, 80)
    assert torch.equal(kept, boxes[[0, 1, 3]])
    assert classes.tolist() == [5, 3, 80]
    none, of_none = LiteRecipe._held(crop, boxes[:0], 80)
    assert len(none) == len(of_none) == 0


def test_a_network_that_has_diverged_says_so_and_reads_no_foreign_memory(
    recipe: LiteRecipe,
) -> None:
    assert recipe.network.objectness is not None
    for parameter in recipe.network.objectness.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="a box that the network proposes is not finite"):
        recipe([CROP, CROP], seeded())
    with pytest.raises(FloatingPointError, match="a box that the network proposes is not finite"):
        recipe.validate()


def test_what_is_for_judging_is_neither_trained_on_nor_chosen_by(made: LiteRecipe) -> None:
    for data, part in ((made.data, "train"), (made.kept_back, "choose")):
        names = {path.name for path, *_ in data.items}
        assert names == {f"{i}.png" for i in range(8) if part_of(f"{i}.png") == part}


def test_regions_without_a_name_teach_masks_alone(recipe: LiteRecipe) -> None:
    regions = replace(CROP, classes=torch.full((2,), UNKNOWN_CLASS))
    losses = recipe([regions], seeded())
    assert losses["name"] == losses["things"] == losses["whole"] == 0
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


def test_the_encoders_later_blocks_alone_are_trained_where_they_have_a_rate(
    tuned: LiteRecipe, tmp_path: Path
) -> None:
    before = copied(tuned.network.backbone)
    run(tuned, tmp_path / "whole", SCHEDULE, quiet())
    after = load_file(tmp_path / "whole" / "ovsam-lite.safetensors")
    learned = {n for n, p in tuned.network.backbone.named_parameters() if p.requires_grad}
    assert {n.split(".")[1] for n in learned} == {"5", "6"}
    for name, value in before.items():
        moved = not torch.equal(after[f"backbone.{name}"].float(), value.half().float())
        if name not in learned:  # with all means and variances of batch normalisation
            assert not moved, name
    weights = {n for n in learned if before[n].ndim == 4}
    assert all(not torch.equal(tuned.network.backbone.get_parameter(n), before[n]) for n in weights)
    assert tuned.rate("network.backbone.blocks.6.0.conv_pw.weight") == 0.1
    assert tuned.rate("network.neck.pos_embed") == 1


def test_how_far_the_encoders_opinion_moved_is_a_loss_where_it_is_trained(
    tuned: LiteRecipe,
) -> None:
    block = tuned.network.backbone.get_parameter("blocks.6.0.conv_pw.weight")
    assert float(tuned([CROP], seeded())["moved"].detach()) == pytest.approx(0, abs=1e-4)
    with torch.no_grad():
        block.mul_(1.5)
    losses = tuned([CROP], seeded())
    assert losses["moved"] > 0.01
    (gradient,) = torch.autograd.grad(losses["moved"], block)
    assert gradient.any()


def test_heads_are_trained_on_the_encoder_that_is_written_beside_them(
    file: Path, recipe: LiteRecipe, tmp_path: Path
) -> None:
    """Also where a start has later blocks of its own, and they are not trained."""
    own = {k: v.contiguous() for k, v in copied(recipe.network).items()}
    own["backbone.blocks.6.0.conv_pw.weight"] *= 1.5
    save_file(own, tmp_path / "start.safetensors")
    other = LiteRecipe(settings(file, start=tmp_path / "start.safetensors")).eval()
    pixels = normalize([CROP], other.network.description)
    with torch.inference_mode():
        features, _ = other.encode([CROP])
        torch.testing.assert_close(
            features.last, other.network.backbone(pixels)[3], rtol=1e-3, atol=1e-3
        )
        assert not torch.allclose(features.last, recipe.eval().encode([CROP])[0].last, atol=1e-2)


def test_validation_reads_what_is_kept_back_and_gives_shares(recipe: LiteRecipe) -> None:
    assert {path.name for path, *_ in recipe.kept_back.items} == {"2.png", "7.png"}
    assert recipe.kept_back.names == recipe.data.names == ["cup", "train"]
    figures = recipe.validate()
    assert set(figures) == FIGURES
    assert all(0 <= value <= 1 for value in figures.values())
    assert recipe.validate() == figures


def test_names_alone_of_base_classes_alone_from_weights_of_ones_own(
    file: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    known = {
        k.removeprefix("network."): v.half().contiguous()
        for k, v in state.items()
        if k.startswith("network.")
    }
    left = {k: v for k, v in known.items() if not k.startswith("mask_decoder.head")}
    left["fpn_neck.lateral_convs.0.conv.bias"] = torch.full((96,), 0.5).half()
    left["region_masks.output.weight"] = torch.zeros(3)  # of another shape
    save_file(left, tmp_path / "start.safetensors")
    recipe = LiteRecipe(
        settings(
            file,
            classes="base",
            tasks=("names",),
            start=tmp_path / "start.safetensors",
            known_rate=0.1,
            frozen=("fpn_neck.lateral_convs.3",),
        )
    )
    # Cup is novel.
    classes = {c for *_, found in recipe.data.items for _, c in found}
    assert {recipe.data.names[c] for c in classes - {UNKNOWN_CLASS}} == {"train"}
    assert {c for *_, found in recipe.kept_back.items for _, c in found} == {0, 1}
    assert recipe.network.fpn_neck.lateral_convs[0].conv.bias.eq(0.5).all()
    assert recipe.rate("network.fpn_neck.lateral_convs.0.conv.bias") == 0.1
    assert recipe.rate("network.region_masks.output.weight") == 1
    # Left out, and of another shape, are the same two kinds of tensors that start anew.
    anew = len(known) - (len(left) - 1)
    fit = f"{len(left) - 1} of the {len(left)} tensors of start.safetensors fit"
    assert (
        recipe.notice
        == f"start: {fit}, and {anew} of the network's {len(known)} start from scratch"
    )
    torch.manual_seed(0)  # of dropout
    losses = recipe([CROP], seeded())
    assert losses.keys() == {"name", "moved"}
    # Nor is the word of a class that is left out a wrong answer.
    recipe.get_buffer("texts")[recipe.data.names.index("cup")] = 7
    torch.manual_seed(0)
    assert recipe([CROP], seeded())["name"] == losses["name"]
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
    with pytest.raises(ValueError, match="start.safetensors is not a valid safetensors file"):
        recipe._start(path)


@pytest.mark.parametrize(
    ("frozen", "reason"),
    [
        (("nek",), "no parameter is named 'nek'...: there are backbone, neck"),
        (("",), "no parameter is named ''"),
        (("neck", "pe", "fpn_neck", "mask_decoder", "objectness", "region_masks"), "nothing is le"),
    ],
)
def test_what_is_frozen_is_a_part_and_not_all_of_the_network(
    file: Path, frozen: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=f"frozen: {reason}"):
        LiteRecipe(settings(file, frozen=frozen))


def test_weights_of_another_network_are_no_start_for_the_encoder(
    recipe: LiteRecipe, tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth is not an EfficientNet-Lite2 state dict"):
        load_timm_by_order(recipe.network, tmp_path / "other.pth")
