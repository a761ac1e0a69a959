from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from segment_anything import sam_model_registry
from segment_anything.build_sam import _build_sam
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from ovsam_plugin.images.frame import Frame, make_frame
from ovsam_plugin.training.loop import Schedule, run
from ovsam_plugin.training.sam2clip import (
    Photographs,
    Sam2ClipRecipe,
    Sam2ClipSettings,
    Teacher,
    load_teacher,
)
from tests.training.small import TINY, noise, photographs, tiny_network

SCHEDULE = Schedule(steps=4, warmup=1, checkpoint_every=3, validate_every=4)


def sam_encoder() -> ImageEncoderViT:
    """SAM's own, small, with random weights that are always the same."""
    torch.manual_seed(1)
    encoder = ImageEncoderViT(
        img_size=64, embed_dim=16, depth=1, num_heads=2, out_chans=16, use_rel_pos=True
    )
    nn.init.normal_(encoder.pos_embed)
    return encoder


def teacher(cache: Path | None = None, fingerprint: str = "a") -> Teacher:
    return Teacher(sam_encoder(), fingerprint, cache)


def recipe(folder: Path, **settings: object) -> Sam2ClipRecipe:
    given = {"images": folder / "images", "batch": 2, "workers": 0, "kept_back": 0.0, **settings}
    made = Sam2ClipSettings(teacher_weights=folder, weights=folder, **given)  # type: ignore[arg-type]
    return Sam2ClipRecipe(made, tiny_network(), teacher(made.cache))


def quiet() -> Console:
    return Console(file=io.StringIO())


def stop_after(steps: int) -> object:
    left = [steps]

    def hook(*_: object) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1

    return hook


@contextmanager
def counted(taught_by: Teacher) -> Iterator[list[int]]:
    """How many photographs each call of the encoder reads."""
    calls: list[int] = []
    handle = taught_by.encoder.register_forward_hook(
        lambda _, given, __: calls.append(len(given[0]))
    )
    yield calls
    handle.remove()


def batch(*seeds: int) -> tuple[Tensor, list[Frame]]:
    frames = [make_frame(noise(seed), TINY) for seed in seeds]
    generator = torch.Generator().manual_seed(0)
    every = torch.randn(10, 3, 64, 64, generator=generator)
    return every[list(seeds)], frames


def test_features_are_computed_once_and_are_those_that_are_not_kept(tmp_path: Path) -> None:
    keeping, computing = teacher(tmp_path / "cache"), teacher()
    with counted(keeping) as calls:
        first = keeping(*batch(0, 1))
        again = keeping(*batch(0, 1))
        mixed = keeping(*batch(1, 2, 0))
    assert calls == [2, 1]
    assert torch.equal(first, again)
    assert torch.equal(first, computing(*batch(0, 1)))
    # Batches of other sizes may sum in another order: a step of the half precision that is kept.
    torch.testing.assert_close(mixed, computing(*batch(1, 2, 0)), rtol=2e-3, atol=1e-4)
    assert first.shape == (2, 16, 4, 4)
    assert first.dtype == torch.float32
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 3
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_features_are_kept_by_what_a_photograph_shows_and_by_the_teacher(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    teacher(cache)(*batch(0))
    with counted(teacher(cache)) as calls, counted(teacher(cache, "b")) as others:
        frame = make_frame(noise(0), TINY)
        assert teacher(cache).file(frame) == teacher(cache).file(batch(0)[1][0])
        assert teacher(cache).file(frame) != teacher(cache).file(batch(1)[1][0])
        assert teacher(cache).file(frame) != teacher(cache, "b").file(frame)
    assert calls == others == []


def test_a_teacher_is_one_of_segment_anythings(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="teacher 'vit_x': segment_anything has vit_h, vit_l, vit_b"
    ):
        load_teacher("vit_x", tmp_path / "sam.pth", None)


def test_a_teachers_weights_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights of SAM at .*sam.pth"):
        load_teacher("vit_b", tmp_path / "sam.pth", None)


class Poison:
    """A pickle that would make a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.path,)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"image_encoder.pos_embed": Poison(tmp_path / "ran")}, tmp_path / "sam.pth")
    with pytest.raises(ValueError, match="sam.pth is not a checkpoint that holds tensors alone"):
        load_teacher("vit_b", tmp_path / "sam.pth", None)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sam.pth").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_teacher("vit_b", tmp_path / "sam.pth", None)


def test_a_checkpoint_of_another_sam_is_refused(tmp_path: Path) -> None:
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 64, 64, 1280)}, tmp_path / "sam.pth")
    with pytest.raises(ValueError, match="sam.pth is not SAM's vit_b"):
        load_teacher("vit_b", tmp_path / "sam.pth", None)


def test_a_published_checkpoint_gives_its_image_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = partial(_build_sam, 16, 1, 2, (0,))
    monkeypatch.setitem(sam_model_registry, "vit_tiny", build)
    torch.manual_seed(0)
    sam = build()
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    loaded = load_teacher("vit_tiny", tmp_path / "sam.pth", None)
    state, expected = loaded.encoder.state_dict(), sam.image_encoder.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[k], expected[k]) for k in expected)
    assert not any(p.requires_grad for p in loaded.parameters())
    assert len(loaded.fingerprint) == 64


def test_photographs_are_found_at_any_depth_and_a_share_of_them_taken(tmp_path: Path) -> None:
    photographs(tmp_path / "sa_000020", 6)
    photographs(tmp_path / "sa_000021" / "deeper", 4)
    (tmp_path / "sa_000020" / "0.json").write_text("{}")
    every = Photographs(tmp_path, TINY)
    assert len(every) == 10
    assert every[0].original_size == (48, 64)
    some = Photographs(tmp_path, TINY, share=0.15)
    assert {path.name for path in some.paths} == {"0.png"}


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no photographs \(.jpg, .*\) in "):
        Photographs(tmp_path, TINY)


def test_a_photograph_that_is_damaged_is_named_and_teaches_nothing(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 2)
    (tmp_path / "images" / "1.png").write_bytes(b"no picture")
    made = recipe(tmp_path)
    both = [made.data[0], made.data[1]]
    assert [text[-40:] for text in made.problems(both)] == [str(both[1])[-40:]]
    assert "1.png is not an image" in str(both[1])
    generator = torch.Generator()
    assert made(both, generator)["mse"] == made(both[:1], generator)["mse"] > 0
    nothing = made(both[1:], generator)["mse"]
    nothing.backward()
    assert nothing == 0


def test_a_run_that_nothing_is_left_for_is_refused(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 2)
    with pytest.raises(ValueError, match="all 2 photographs of .* are kept back"):
        recipe(tmp_path, kept_back=1.0)


def test_a_teacher_that_reads_other_sizes_than_the_network_is_refused(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 1)
    other = tiny_network(replace(TINY, image_size=128))
    settings = Sam2ClipSettings(images=tmp_path, teacher_weights=tmp_path, weights=tmp_path)
    with pytest.raises(ValueError, match="reads 128 pixels, and teacher 'vit_h' 64: give a preset"):
        Sam2ClipRecipe(settings, other, teacher())


def test_only_the_neck_is_trained_and_it_keeps_sams_positions(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 2)
    made = recipe(tmp_path)
    trained = {n for n, p in made.named_parameters() if p.requires_grad}
    assert trained == {f"network.neck.{n}" for n, _ in made.network.neck.named_parameters()}
    positions = made.teacher.encoder.pos_embed
    assert isinstance(positions, Tensor)
    assert torch.equal(made.network.neck.get_buffer("pos_embed"), positions)
    made.train()
    assert not made.network.backbone.training
    assert not made.teacher.encoder.training
    assert made.network.neck.training


def test_photographs_kept_back_are_validated_on_and_never_trained_on(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 12)
    made = recipe(tmp_path, kept_back=0.3)
    assert made.kept_back
    assert sorted(made.kept_back + made.trained_on) == list(range(12))
    steps = made.epoch_steps
    seen = [
        f.pixels.tobytes() for frames, _ in zip(made.batches(0, 0, 1), range(steps)) for f in frames
    ]
    held = {made.data[i].pixels.tobytes() for i in made.kept_back}
    assert len(set(seen)) == 2 * steps
    assert held.isdisjoint(seen)


def test_a_run_that_is_stopped_and_goes_on_gives_the_same_neck_and_encodes_nothing_again(
    tmp_path: Path,
) -> None:
    photographs(tmp_path / "images", 4)
    run(recipe(tmp_path), tmp_path / "whole", SCHEDULE, quiet())
    cache = tmp_path / "cache"
    stopped = recipe(tmp_path, cache=cache)
    stopped.register_forward_pre_hook(stop_after(3))
    with pytest.raises(KeyboardInterrupt):
        run(stopped, tmp_path / "part", SCHEDULE, quiet())
    again = recipe(tmp_path, cache=cache)
    with counted(again.teacher) as calls:
        run(again, tmp_path / "part", SCHEDULE, quiet())
    assert calls == []
    whole, part = (load_file(tmp_path / n / "sam2clip.safetensors") for n in ("whole", "part"))
    assert whole.keys() == part.keys()
    assert all(torch.equal(whole[k], part[k]) for k in whole)


def test_training_in_half_precision_learns_from_the_same_features(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 2)
    made = [recipe(tmp_path, cache=tmp_path / name) for name in ("half", "whole")]
    (frames,) = (batch for batch, _ in zip(made[0].batches(0, 0, 1), range(1)))
    with torch.autocast("cpu", torch.bfloat16):
        half = made[0](frames, torch.Generator())["mse"]
    whole = made[1](frames, torch.Generator())["mse"]
    half.backward()
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0)
    assert half != whole
    kept = [
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.safetensors")}
        for name in ("half", "whole")
    ]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2


def test_the_neck_is_written_as_it_is_published_with_what_made_it(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 2)
    made = recipe(tmp_path)
    run(made, tmp_path / "run", replace(SCHEDULE, steps=1), quiet())
    state = load_file(tmp_path / "run" / "sam2clip.safetensors")
    assert all(key.startswith("neck_student.") for key in state)
    network = tiny_network()
    network.neck.load_state_dict({k.removeprefix("neck_student."): v for k, v in state.items()})
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["teacher_fingerprint"] == "a"
    assert record["photographs"] == 2


def test_distillation_brings_the_error_down_by_ten_times_on_a_small_set(tmp_path: Path) -> None:
    photographs(tmp_path / "images", 2)
    made = recipe(tmp_path, cache=tmp_path / "cache")
    before = made.validate()["mse"]
    schedule = Schedule(steps=60, learning_rate=1e-2, warmup=5, weight_decay=0.0, ema=0.5)
    run(made, tmp_path / "run", replace(schedule, validate_every=60), quiet())
    assert made.validate()["mse"] < before / 10
