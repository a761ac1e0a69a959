"""The loop that every recipe runs in: devices, precision, averaging, checkpoints, logs."""

from __future__ import annotations

import csv
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import torch
from accelerate import Accelerator  # devices, processes and precision: small, and kept by many
from accelerate.utils import DistributedDataParallelKwargs
from pydantic import Field, NonNegativeInt, PositiveInt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor, nn

from ovsam_plugin.files import whole_file, write_whole
from ovsam_plugin.training.checkpoint import Checkpoint

Rate: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Weight: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a recipe is run.

    Attributes:
        steps: optimizer steps in all.
        learning_rate: of AdamW, at its highest; a cosine takes it to a thousandth.
        weight_decay: of AdamW.
        warmup: steps over which the learning rate rises.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights, which are what is written and validated.
        precision: "no" (float32), "bf16" or "fp16"; on a CPU, "fp16" is float32.
        seed: of every random choice; each step's are a function of it, the step and the process.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between validations; an epoch when 0.
        threads: of torch on a CPU; its own choice when 0.
    """

    steps: PositiveInt
    learning_rate: Rate = 1e-3
    weight_decay: Weight = 0.05
    warmup: NonNegativeInt = 100
    clip: Rate = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Literal["no", "bf16", "fp16"] = "no"
    seed: Seed = 0
    checkpoint_every: PositiveInt = 200
    validate_every: NonNegativeInt = 0
    threads: NonNegativeInt = 0


class Recipe(nn.Module, ABC):
    """A network being trained, what it reads and what it minimises.

    Parameters that require a gradient are trained; the others are frozen.

    Attributes:
        name: of the recipe, as `ovsam train` knows it.
        epoch_steps: steps in which one process sees all data once.
        notice: what is said before the first step; nothing when empty.
        provenance: all that decides the weights beside the schedule, as JSON has it; a run goes on
            with the same alone.
    """

    name: str
    epoch_steps: int
    notice: str = ""
    provenance: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def batches(self, start: int, rank: int, world: int) -> Iterator[Any]:
        """This process's batches for ever, those before step `start` left out."""

    @abstractmethod
    def forward(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """The weighted losses of one batch, by name; their sum is minimised."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures on what training never sees, by name."""

    @abstractmethod
    def export(self, out: Path) -> None:
        """Write the weights for use into the run's folder."""

    def problems(self, batch: Any) -> list[str]:
        """What of a batch could not be read, and teaches nothing."""
        return []

    def rate(self, name: str) -> float:
        """The learning rate of a parameter, as a share of the schedule's."""
        return 1.0


@dataclass(frozen=True)
class Trained:
    """What a run came to.

    Attributes:
        weights: the files for use, in the run's folder.
        step: optimizer steps done, those of earlier calls included.
        losses: by name, smoothed over the last steps.
        figures: by name, of the last validation.
    """

    weights: tuple[Path, ...]
    step: int
    losses: dict[str, float]
    figures: dict[str, float]


def run(
    recipe: Recipe, out: Path, schedule: Schedule, console: Console | None = None
) -> Trained | None:
    """Train to the last step, from the last checkpoint in `out` if there is one.

    A run that was stopped and goes on gives the same weights as one that was not. It may go on with
    another schedule, which holds from there; `run.json` tells each.

    Returns:
        what it came to; None in processes beside the first.

    Raises:
        ValueError: the checkpoint is of another recipe, of other settings or data, or of other
            parameters; or most photographs cannot be read.
        FloatingPointError: a loss, a gradient or what a network gives is no longer finite.
    """
    console = console or Console()
    if schedule.threads:
        torch.set_num_threads(schedule.threads)
    accelerator = Accelerator(
        mixed_precision=schedule.precision,
        # Not every batch has an instance of every kind.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    rank, world = accelerator.process_index, accelerator.num_processes
    main = accelerator.is_main_process
    recipe.to(accelerator.device)
    trained = {n: p for n, p in recipe.named_parameters() if p.requires_grad}
    rates: dict[float, list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        rates.setdefault(recipe.rate(name), []).append(parameter)
    optimizer = torch.optim.AdamW([{"params": p} for p in rates.values()])
    average = {name: p.detach().clone() for name, p in trained.items()}
    checkpoint = Checkpoint(out / "checkpoint.pt", recipe.name, recipe.provenance)
    scaler = accelerator.scaler  # of fp16's gradients; None in other precisions
    step = checkpoint.load(trained, average, optimizer, scaler)
    checkpoint.go_on_with(asdict(schedule), step)
    if main and recipe.notice:
        console.print(recipe.notice, markup=False, highlight=False, soft_wrap=True)
    model, optimizer = accelerator.prepare(recipe, optimizer)
    recipe.train()
    log = Log(out / "log.csv", step, writes=main)
    every = schedule.validate_every or max(recipe.epoch_steps // world, 1)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not main) as progress:
        task = progress.add_task(recipe.name, total=schedule.steps, completed=step)
        batches, unread = recipe.batches(step, rank, world), Unread()
        while step < schedule.steps:
            batch = next(batches)
            for problem in unread.new(recipe.problems(batch), len(batch)):
                text = f"left out: {problem}"
                progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
            generator = step_generator(schedule.seed, step, rank)
            with _finite(step, checkpoint.path):
                with accelerator.autocast():
                    losses: dict[str, Tensor] = model(batch, generator)
                total = torch.stack(list(losses.values())).sum()
                if not torch.isfinite(total):
                    raise FloatingPointError(f"the loss is {float(total.detach())}")
                optimizer.zero_grad(set_to_none=True)
                accelerator.backward(total)
                norm = accelerator.clip_grad_norm_(list(trained.values()), schedule.clip)
                # A scaler skips such a step by itself.
                if scaler is None and norm is not None and not torch.isfinite(norm):
                    raise FloatingPointError(f"the gradient is {float(norm)}")
            for share, group in zip(rates, optimizer.param_groups):
                group["lr"] = schedule.learning_rate * share * _rate(step, schedule)
                group["weight_decay"] = schedule.weight_decay
            optimizer.step()
            step += 1
            decay = min(schedule.ema, step / (step + 10))
            torch._foreach_lerp_(
                list(average.values()), [p.detach() for p in trained.values()], 1 - decay
            )
            log.add(step, {key: value.detach() for key, value in losses.items()})
            progress.update(task, completed=step, description=f"{recipe.name} {log.summary}")
            last = step == schedule.steps
            if step % every == 0 or last:
                if main:
                    with averaged(trained, average), _finite(step, checkpoint.path):
                        figures = recipe.validate()
                        recipe.export(out)
                    made = {"schedules": checkpoint.schedules, "torch": torch.__version__}
                    write_whole(
                        out / "run.json", json.dumps({**recipe.provenance, **made}, indent=2)
                    )
                    log.validation(step, figures)
                    title = f"{recipe.name}, step {step}"
                    none = f"{title}: no photograph with an instance is kept back to judge by"
                    progress.console.print(_table(title, figures) if figures else none)
                accelerator.wait_for_everyone()
                recipe.train()
            # After the weights are written: a run that is stopped in between does this step again.
            if main and (step % schedule.checkpoint_every == 0 or last):
                checkpoint.save(step, trained, average, optimizer, scaler)
    accelerator.end_training()
    if not main:
        return None
    return Trained(tuple(sorted(out.glob("*.safetensors"))), step, log.losses, log.figures)


def epochs(
    length: int, batch: int, seed: int, start: int, rank: int, world: int
) -> Iterator[list[list[int]]]:
    """Each epoch's batches of indices for one process, for ever, shuffled anew each time.

    Args:
        length: of the data set.
        batch: indices a batch; the last, incomplete one is left out where there is another.
        seed: of the order.
        start: batches that were read before, to resume.
        rank, world: this process of how many; each has a part of its own.
    """
    per_epoch = max(length // (batch * world), 1)
    epoch, skip = divmod(start, per_epoch)
    while True:
        order = torch.randperm(length, generator=torch.Generator().manual_seed(seed + epoch))
        mine = order[rank::world]
        yield [mine[i * batch : (i + 1) * batch].tolist() for i in range(skip, per_epoch)]
        epoch, skip = epoch + 1, 0


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """Where a step's random choices come from; torch's own generator (dropout) is set to match."""
    number = (seed * 1_000_003 + step) * 4_099 + rank
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)


class averaged:  # noqa: N801  reads as a word in `with averaged(...)`
    """While it is entered, the trained parameters hold their averages."""

    def __init__(self, trained: dict[str, nn.Parameter], average: dict[str, Tensor]) -> None:
        self.trained, self.average = trained, average

    def _swap(self) -> None:
        for name, parameter in self.trained.items():
            parameter.data, self.average[name] = self.average[name], parameter.data

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *reason: object) -> None:
        self._swap()


class Log:
    """Losses and validation figures of a run as a CSV file of (step, name, value, seconds)."""

    EVERY = 20

    def __init__(self, path: Path, step: int, writes: bool = True) -> None:
        self.path, self.writes, self.began = path, writes, time.monotonic()
        self.smooth: dict[str, Tensor] = {}
        self.last: dict[str, float] = {}  # as written, by name
        if not writes:  # one process of several does
            return
        kept = []
        if path.exists() and step:  # what was logged after the checkpoint is run again
            with path.open(newline="") as file:
                kept = [row for row in csv.reader(file) if row[0].isdigit() and int(row[0]) <= step]
            self.last = {name: float(value) for _, name, value, _ in kept}
        with whole_file(path) as file:
            csv.writer(file).writerows([["step", "name", "value", "seconds"], *kept])

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """Losses of one step; every twentieth is written, smoothed."""
        for key, value in losses.items():
            before = self.smooth.get(key, value)
            self.smooth[key] = before.lerp(value, 0.02 if step > self.EVERY else 0.2)
        if step % self.EVERY == 0:
            self._write(step, {f"loss/{k}": float(v) for k, v in self.smooth.items()})

    def validation(self, step: int, figures: dict[str, float]) -> None:
        """Figures of one validation."""
        self._write(step, {f"validation/{k}": v for k, v in figures.items()})

    @property
    def losses(self) -> dict[str, float]:
        """The losses, smoothed: as they are now, or as an earlier call left them."""
        return {k: float(v) for k, v in self.smooth.items()} or self._last("loss/")

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the last validation."""
        return self._last("validation/")

    @property
    def summary(self) -> str:
        """The losses in a few characters, as of the last written step."""
        return " ".join(f"{k} {v:.3f}" for k, v in self._last("loss/").items())

    def _last(self, kind: str) -> dict[str, float]:
        return {k[len(kind) :]: v for k, v in self.last.items() if k.startswith(kind)}

    def _write(self, step: int, values: dict[str, float]) -> None:
        seconds = round(time.monotonic() - self.began)
        self.last |= values
        if not self.writes:
            return
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows([step, k, f"{v:.6g}", seconds] for k, v in values.items())


class Unread:
    """What could not be read, told once each; a run that can read little of its data is stopped."""

    ALLOWED = 10

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.read = self.failed = 0

    def new(self, problems: list[str], read: int) -> list[str]:
        """Those of a batch of `read` that have not been told.

        Raises:
            ValueError: there are more than ten, and more than half of all that was read.
        """
        self.read, self.failed = self.read + read, self.failed + len(problems)
        if self.failed > max(self.ALLOWED, self.read / 2):
            raise ValueError(
                f"{self.failed} of {self.read} photographs could not be used, such as "
                f"{problems[0]}: is the folder still there?"
            )
        fresh = [problem for problem in dict.fromkeys(problems) if problem not in self.known]
        self.known.update(fresh)
        return fresh


@contextmanager
def _finite(step: int, checkpoint: Path) -> Iterator[None]:
    """Says of what is no longer finite when that was, and what to do."""
    try:
        yield
    except FloatingPointError as error:
        kept = f"{checkpoint} holds" if checkpoint.exists() else "nothing holds"
        raise FloatingPointError(
            f"{error} at step {step}: lower learning_rate, or use precision = 'no'; "
            f"{kept} an earlier state"
        ) from error


def _rate(step: int, schedule: Schedule) -> float:
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    share = (step - schedule.warmup) / max(schedule.steps - schedule.warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * share)) + 1e-3


def _table(title: str, figures: dict[str, float]) -> Table:
    table = Table(title=title)
    for name in figures:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.3f}" for value in figures.values()))
    return table
