"""What decides a training of `ovsam-lite`, and which photographs it may see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt

from ovsam_plugin.training.annotations import is_validation
from ovsam_plugin.training.crops import Side
from ovsam_plugin.training.loop import Seed, Weight

Part: TypeAlias = Literal["judge", "choose", "train"]


def part_of(name: str) -> Part:
    """What a photograph of a complete source is for, decided by its file name once and for all:
    15 % to judge by, 12 % to choose settings by, the others to train on."""
    if is_validation(name, 0.15):
        return "judge"
    return "choose" if is_validation(name, 0.27) else "train"


@dataclass(frozen=True, kw_only=True)
class LiteSettings:
    """What decides a run beside its schedule; written beside its weights.

    Attributes:
        complete: (folder of photographs, COCO file of them), where every thing of the file's
            classes is annotated. A hash of their names keeps some of these photographs back, some
            to choose settings by and some to judge by; see `part_of`.
        partial: the same, where things of the file's classes are left out: they are unknown there
            and not background.
        regions: folders (photographs, MATLAB ground truth) in the layout of BSDS500.
        start: weights to go on from, of which every tensor that fits is taken; told when it runs.
        frozen: parts that are not trained, by the first words of their parameters' names.
        known_rate: learning rate of the parameters that `start` holds, as a share of the others'.
        tasks: of "masks" and "names", what is trained.
        classes: "all", or "base": of the base classes alone instances and words are seen, for
            figures on classes that training never saw.
        encoder_rate: learning rate of the encoder's later blocks, as a share of the others'; 0
            leaves it as it is.
        paste: whether instances of other photographs are pasted onto some crops.
        share: of the photographs that are trained on, the same ones for ever; those of a smaller
            share are among those of a larger one.
        batch, crop: photographs a step, and side of their square crops, a multiple of 32 pixels.
        max_instances: kept a crop.
        workers: processes that load.
    """

    complete: tuple[tuple[Path, Path], ...]
    partial: tuple[tuple[Path, Path], ...] = ()
    regions: tuple[tuple[Path, Path], ...] = ()
    start: Path | None = None
    frozen: tuple[str, ...] = ()
    known_rate: Weight = 1.0
    tasks: Annotated[tuple[Literal["masks", "names"], ...], Field(min_length=1)] = (
        "masks",
        "names",
    )
    classes: Literal["all", "base"] = "all"
    encoder_rate: Weight = 0.0
    paste: bool = True
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch: PositiveInt = 4
    crop: Side = 448
    max_instances: PositiveInt = 24
    workers: NonNegativeInt = 0
    seed: Seed = 0
