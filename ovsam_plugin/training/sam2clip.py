"""SAM2CLIP: the neck learns from the frozen CLIP stages what SAM's image encoder gives, by MSE."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from safetensors.torch import load_file, save_file
from segment_anything import sam_model_registry
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ovsam_plugin.checkpoints.preset_weights import file_sha256, load_network
from ovsam_plugin.files import draft_of
from ovsam_plugin.hardware.orphan import end_with_parent
from ovsam_plugin.images.frame import Frame, make_frame, stack_pixels
from ovsam_plugin.images.reading import ImageError, read_image
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.annotations import is_validation
from ovsam_plugin.training.checkpoint import recorded
from ovsam_plugin.training.loop import Recipe, Seed, Share, epochs

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True, kw_only=True)
class Sam2ClipSettings:
    """What decides a run beside its schedule.

    Attributes:
        images: folder of photographs, searched to any depth (SA-1B's `sa_000020/sa_223750.jpg`).
        teacher: a SAM of segment_anything: "vit_h", "vit_l" or "vit_b".
        teacher_weights: its published checkpoint.
        preset: whose network is trained.
        weights: an assembled model to take the image encoder from (and the neck to go on with).
        cache: folder for the teacher's features, 2 MB a photograph; computed each time if None.
        share: of the photographs, chosen by a hash of their names; the paper takes 1 % of SA-1B.
        batch: photographs a step.
        workers: processes that load.
        kept_back: share of the photographs that is used for validation alone.
    """

    images: Path
    teacher: str = "vit_h"
    teacher_weights: Path
    preset: str = "ovsam-rn50x16-coco"
    weights: Path
    cache: Path | None = None
    share: Share = 1.0
    batch: PositiveInt = 8
    workers: NonNegativeInt = 2
    kept_back: Share = 0.01
    seed: Seed = 0


class Teacher(nn.Module):
    """A SAM image encoder whose features are computed once and then read from a folder.

    Args:
        encoder: (B, 3, S, S) normalised pixels -> (B, channels, S/16, S/16).
        fingerprint: tells its features from those of another.
        cache: folder, or None.
    """

    def __init__(self, encoder: nn.Module, fingerprint: str, cache: Path | None) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.fingerprint, self.cache = fingerprint, cache

    @torch.no_grad()
    def forward(self, pixels: Tensor, frames: list[Frame]) -> Tensor:
        """Features of a batch, rounded to half precision, as they are kept."""
        files = [self.file(frame) for frame in frames]
        absent = [i for i, file in enumerate(files) if file is None or not file.exists()]
        rows: dict[int, Tensor] = {}
        if absent:
            # Kept features are the same whatever precision a run trains in.
            with torch.autocast(pixels.device.type, enabled=False):
                computed = self.encoder(pixels[absent].float()).half()
            for i, row in zip(absent, computed):
                rows[i] = row
                file = files[i]
                if file is not None:
                    with draft_of(file) as draft:
                        save_file({"features": row.cpu().contiguous()}, draft)
        for i, file in enumerate(files):
            if i not in rows:
                assert file is not None
                rows[i] = load_file(file)["features"].to(pixels.device)
        return torch.stack([rows[i].to(pixels.dtype) for i in range(len(frames))])

    def file(self, frame: Frame) -> Path | None:
        """Where the features of a photograph are kept: named by what it shows, not by its name."""
        if self.cache is None:
            return None
        shown = hashlib.sha256(repr(frame.pixels.shape).encode() + frame.pixels.tobytes())
        name = hashlib.sha256((self.fingerprint + shown.hexdigest()).encode()).hexdigest()
        return self.cache / name[:2] / f"{name}.safetensors"


def load_teacher(name: str, weights: Path, cache: Path | None) -> Teacher:
    """The image encoder of a published SAM.

    Raises:
        ValueError: segment_anything has no such model, or the file holds another, or more than
            tensors, such as code.
        FileNotFoundError: there is no such file.
    """
    if name not in sam_model_registry or name == "default":
        known = ", ".join(n for n in sam_model_registry if n != "default")
        raise ValueError(f"teacher {name!r}: segment_anything has {known}")
    if not weights.is_file():
        raise FileNotFoundError(f"no weights of SAM at {weights}")
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
    except (UnpicklingError, RuntimeError) as error:
        raise ValueError(f"{weights} is not a checkpoint that holds tensors alone") from error
    with torch.device("meta"):
        encoder = sam_model_registry[name]().image_encoder
    prefix = "image_encoder."
    own = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    try:
        encoder.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ValueError(f"{weights} is not SAM's {name}: {error}") from error
    return Teacher(encoder, file_sha256(weights), cache)


class Photographs(Dataset[Frame | ImageError]):
    """Photographs of a folder, resized for a network; an error in place of one that is damaged.

    Raises:
        FileNotFoundError: there are none.
    """

    def __init__(self, folder: Path, description: NetworkDescription, share: float = 1.0) -> None:
        found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        self.paths = sorted(p for p in found if share >= 1 or is_validation(p.name, share))
        self.description = description
        if not self.paths:
            raise FileNotFoundError(f"no photographs ({', '.join(SUFFIXES)}) in {folder}")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Frame | ImageError:
        try:
            return make_frame(read_image(self.paths[index]), self.description)
        except ImageError as error:
            return error


class Sam2ClipRecipe(Recipe):
    """Distillation of a teacher into a network's neck; everything else is frozen.

    Args:
        settings: of the run.
        network, teacher: to use in place of those that the settings name.
    """

    name = "sam2clip"

    def __init__(
        self,
        settings: Sam2ClipSettings,
        network: OVSAM | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        weights = None
        if network is None:
            network, weights = load_network(get_preset(settings.preset), settings.weights)
        self.network = network
        self.teacher = teacher or load_teacher(
            settings.teacher, settings.teacher_weights, settings.cache
        )
        self._fits()
        self._take_positions()
        self.data = Photographs(settings.images, self.network.description, settings.share)
        held = [is_validation(p.name, settings.kept_back, "val/") for p in self.data.paths]
        self.kept_back = [i for i, h in enumerate(held) if h]
        self.trained_on = [i for i, h in enumerate(held) if not h]
        if not self.trained_on:
            raise ValueError(
                f"all {len(held)} photographs of {settings.images} are kept back, and none is left "
                "to train on: give more, or a smaller kept_back"
            )
        self.provenance = {
            **recorded(settings),
            "teacher_fingerprint": self.teacher.fingerprint,
            "photographs": len(self.data),
            "weights_sha256": weights,
        }
        self.epoch_steps = max(len(self.trained_on) // settings.batch, 1)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith("network.neck."))

    def _fits(self) -> None:
        """That the teacher's features are of the same places as the neck's.

        Raises:
            ValueError: they are not.
        """
        reads = getattr(self.teacher.encoder, "img_size", None)
        side = self.network.description.image_size
        if reads not in (None, side):
            raise ValueError(
                f"preset {self.settings.preset!r} reads {side} pixels, and teacher "
                f"{self.settings.teacher!r} {reads}: give a preset that reads as many, such as "
                "ovsam-rn50x16-coco"
            )

    def _take_positions(self) -> None:
        """SAM's own table of positions, which the neck keeps as it is, where it fits."""
        table = getattr(self.teacher.encoder, "pos_embed", None)
        own = self.network.neck.get_buffer("pos_embed")
        if table is not None and table.shape == own.shape:
            own.copy_(table.detach())

    def train(self, mode: bool = True) -> Sam2ClipRecipe:
        super().train(mode)
        self.network.backbone.eval()
        self.teacher.eval()
        return self

    def problems(self, batch: list[Frame | ImageError]) -> list[str]:
        return [str(each) for each in batch if isinstance(each, ImageError)]

    def batches(self, start: int, rank: int, world: int) -> Iterator[list[Frame | ImageError]]:
        s = self.settings
        for batches in epochs(len(self.trained_on), s.batch, s.seed, start, rank, world):
            chosen = [[self.trained_on[i] for i in batch] for batch in batches]
            yield from DataLoader(
                self.data,
                batch_sampler=chosen,
                collate_fn=list,
                num_workers=s.workers,
                worker_init_fn=end_with_parent,
            )

    def pixels(self, frames: list[Frame]) -> Tensor:
        """(B, 3, S, S) normalised, zero-padded."""
        side = self.network.description.image_size
        network = self.network
        return stack_pixels(frames, network.description, (side, side), network.device)

    def forward(
        self, batch: list[Frame | ImageError], generator: torch.Generator
    ) -> dict[str, Tensor]:
        frames = [each for each in batch if isinstance(each, Frame)]
        if not frames:
            neck = self.network.neck.parameters()
            return {"mse": torch.stack([p.sum() for p in neck if p.requires_grad]).sum() * 0}
        pixels = self.pixels(frames)
        with torch.no_grad():
            stages = self.network.backbone(pixels)
        wanted = self.teacher(pixels, frames)
        return {"mse": F.mse_loss(self.network.neck(stages).float(), wanted.float())}

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """The mean squared error on photographs kept back, and on the first few where none is."""
        self.eval()
        chosen = self.kept_back or self.trained_on[: self.settings.batch]
        losses = []
        for start in range(0, len(chosen), self.settings.batch):
            frames = [self.data[i] for i in chosen[start : start + self.settings.batch]]
            losses.append(self(frames, torch.Generator())["mse"])
        return {"mse": float(torch.stack(losses).mean())}

    def export(self, out: Path) -> None:
        """`sam2clip.safetensors`: the neck under the published prefix."""
        neck = self.network.neck.state_dict()
        with draft_of(out / "sam2clip.safetensors") as draft:
            save_file({f"neck_student.{k}": v.contiguous() for k, v in neck.items()}, draft)
