"""Learned context for the crop baselines: a few vectors trained on annotated instances.

The instances are embedded once by the frozen network and kept on disk; what is trained after that
is the context alone, by cross-entropy of cosines, as in CoOp (see `baselines.context`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ovsam_plugin.baselines.building import shared_embedders
from ovsam_plugin.baselines.context import Context, PromptableTower, read_names, word_vectors
from ovsam_plugin.checkpoints.preset_weights import file_sha256
from ovsam_plugin.files import draft_of
from ovsam_plugin.prediction.labeler import Labeler, load_labeler
from ovsam_plugin.training.annotations import is_validation
from ovsam_plugin.training.checkpoint import DAMAGED
from ovsam_plugin.training.examples import (
    Annotated,
    CocoPhotographs,
    Examples,
    embed_examples,
    read_examples,
    write_examples,
)
from ovsam_plugin.training.loop import Rate, Seed, Share, Trained
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower

_SAVE_STEPS = 25


@dataclass(frozen=True)
class CoopSchedule:
    """What decides a run; written into its result.

    Attributes:
        length: M, vectors of the context.
        words: what the last of them start from; those before start random.
        steps: of the optimizer, each over all names.
        batch: instances a step, drawn at random.
        learning_rate: of SGD with momentum 0.9 after `warmup` steps, falling as a cosine to 0;
            CoOp's own is 0.002, where cosines are multiplied by 100 and not, as here, by 20.
        warmup: steps at a hundredth of it.
        seed: of every random choice.
    """

    length: PositiveInt = 4
    words: str = "a photo of a"
    steps: PositiveInt = 100
    batch: PositiveInt = 256
    learning_rate: Rate = 0.01
    warmup: NonNegativeInt = 10
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True)
class CoopSettings:
    """What a run reads beside its schedule.

    Attributes:
        images: folder of photographs.
        annotations: COCO or LVIS file of them.
        method: "image-crop" or "feature-crop".
        vocabulary: its base classes are learned, or all where it has no split.
        preset, weights: the network; the preset's own weights when not given.
        device: "auto", "cpu", "cuda", ...
        kept_back: share of the photographs that is left out, by a hash of their names.
    """

    images: Path
    annotations: Path
    method: str
    vocabulary: str = "coco"
    preset: str = "ovsam-lite"
    weights: Path | None = None
    device: str = "auto"
    kept_back: Share = 0.0
    seed: Seed = 0


@dataclass(frozen=True)
class Step:
    """How a run stands.

    Attributes:
        step, steps: done, and to be done.
        loss: cross-entropy of the last batch.
        accuracy: share of the last batch whose class has the largest cosine.
    """

    step: int
    steps: int
    loss: float
    accuracy: float


def train_context(
    examples: Examples,
    tower: TextTower,
    method: str,
    settings: CoopSchedule,
    *,
    scale: float,
    checkpoint: Path | None = None,
    report: Callable[[Step], None] | None = None,
    provenance: dict[str, Any] | None = None,
) -> Context:
    """Trains a context on examples; the same settings give the same vectors.

    Args:
        examples: at least one.
        tower: reads the names; it is not changed.
        method: the embedder's name, kept with the result.
        settings: of the run.
        scale: what cosines are multiplied by before the softmax.
        checkpoint: a file where a stopped run goes on from, removed at the end.
        report: called after every step.
        provenance: kept with the result.

    Raises:
        ValueError: no example, or the checkpoint is damaged or of another run.
        FloatingPointError: the loss is no longer finite.
    """
    if not len(examples.classes):
        raise ValueError("there is no instance to learn from: do the class names agree?")
    promptable = cast(PromptableTower, tower)
    device = promptable.table.weight.device
    generator = torch.Generator().manual_seed(settings.seed)
    vectors = _first_vectors(promptable, settings, generator).requires_grad_(True)
    optimizer = torch.optim.SGD([vectors], settings.learning_rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings))
    run = _identity(examples, tower, method, settings, scale)
    start = 0
    if checkpoint and checkpoint.is_file():
        try:
            state = torch.load(checkpoint, weights_only=True)
            of = state["run"]
        except DAMAGED as error:
            raise ValueError(
                f"{checkpoint} is not a valid checkpoint: remove it to start again"
            ) from error
        if of != run:
            raise ValueError(f"{checkpoint} is of a run with other settings or data: remove it")
        start = state["step"]
        vectors.data.copy_(state["vectors"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        generator.set_state(state["generator"])
    sentences = [f"{name}." for name in examples.names]
    embeddings, classes = examples.embeddings.to(device), examples.classes.to(device)
    for step in range(start + 1, settings.steps + 1):
        size = min(settings.batch, len(classes))
        drawn = torch.randperm(len(classes), generator=generator)[:size].to(device)
        texts = read_names(promptable, vectors, sentences)
        logits = scale * embeddings[drawn] @ texts.T
        loss = F.cross_entropy(logits, classes[drawn])
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {float(loss.detach())} at step {step}: lower learning_rate"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if report:
            right = float((logits.argmax(1) == classes[drawn]).float().mean())
            report(Step(step, settings.steps, float(loss.detach()), right))
        if checkpoint and step % _SAVE_STEPS == 0:
            state = {
                "run": run,
                "step": step,
                "vectors": vectors.detach(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "generator": generator.get_state(),
            }
            with draft_of(checkpoint) as draft:
                torch.save(state, draft)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    facts = {
        "settings": asdict(settings),
        "instances": len(classes),
        "classes": len(examples.names),
        "version": version("fiftyone-ovsam"),
        **(provenance or {}),
    }
    return Context(vectors.detach().cpu(), method, tower.fingerprint, facts)


def train_preset_context(
    labeler: Labeler,
    photographs: Iterable[Annotated],
    method: str,
    out: Path,
    settings: CoopSchedule,
    *,
    report: Callable[[Step], None] | None = None,
    data: Mapping[str, str] | None = None,
) -> Context:
    """The whole way for one of a preset's crop baselines: embed, train, write.

    Args:
        labeler: the network, and the vocabulary to tell apart; its base classes alone where it
            has a split.
        photographs: read once; their instances are kept beside `out`, and those that are already
            there are not made again.
        method: "image-crop" or "feature-crop".
        out: the .safetensors file to write.
        settings: of the run.
        report: called after every step.
        data: what the photographs are, such as the hash of their annotations; kept instances of
            others are refused.

    Raises:
        ValueError: an unknown method, no instance of a class, or files of another run beside `out`.
    """
    embedders = shared_embedders(labeler)
    if method not in embedders:
        raise ValueError(f"method {method!r} has no context: allowed are {', '.join(embedders)}")
    predictor, vocabulary = labeler.predictor, labeler.recognizer.vocabulary
    tower = load_text_tower(predictor.preset.text_tower, str(predictor.device))
    origin = {
        "preset": predictor.preset.name,
        "weights": predictor.weights_hash,
        "vocabulary": vocabulary.name,
        "vocabulary_hash": vocabulary.hash,
        **(data or {}),
    }
    kept = out.with_suffix(".examples.safetensors")
    examples = read_examples(kept, {"method": method, **origin})
    if examples is None:
        examples = embed_examples(embedders[method], photographs, vocabulary)
        write_examples(examples, kept, {"method": method, **origin})
    context = train_context(
        examples,
        tower,
        method,
        settings,
        scale=labeler.recognizer.fusion.clip_scale,
        checkpoint=out.with_suffix(".checkpoint"),
        report=report,
        provenance=origin,
    )
    context.save(out)
    return context


def run_coop(
    settings: CoopSettings, out: Path, schedule: CoopSchedule, console: Console
) -> Trained:
    """`ovsam train coop`: writes `METHOD.safetensors` into a folder, with a progress bar."""
    labeler = load_labeler(
        settings.preset,
        vocabulary=settings.vocabulary,
        device=settings.device,
        weights=settings.weights,
    )
    photographs = CocoPhotographs(
        settings.images,
        settings.annotations,
        lambda name: not is_validation(name, settings.kept_back),
    )
    out.mkdir(parents=True, exist_ok=True)
    with Progress(console=console) as progress:
        task = progress.add_task("embedding the instances", total=schedule.steps)

        last = {"loss": float("nan"), "accuracy": float("nan")}

        def report(step: Step) -> None:
            last.update(loss=step.loss, accuracy=step.accuracy)
            text = f"coop loss {step.loss:.3f} accuracy {step.accuracy:.3f}"
            progress.update(task, completed=step.step, description=text)

        path = out / f"{settings.method}.safetensors"
        data = {
            "annotations_sha256": file_sha256(settings.annotations),
            "kept_back": str(settings.kept_back),
        }
        train_preset_context(
            labeler, photographs, settings.method, path, schedule, report=report, data=data
        )
    losses, figures = {"coop": last["loss"]}, {"accuracy of the last batch": last["accuracy"]}
    return Trained((path,), schedule.steps, losses, figures)


def _first_vectors(
    tower: PromptableTower, settings: CoopSchedule, generator: torch.Generator
) -> Tensor:
    """The last rows from words; random ones before them are as large as a word's."""
    words = word_vectors(tower, settings.words) if settings.words else None
    known = 0 if words is None else min(len(words), settings.length)
    table = tower.table.weight
    width = table.shape[1]
    random = torch.randn(settings.length - known, width, generator=generator) * table.std().item()
    parts = [random.to(table.device)]
    if words is not None:
        parts.append(words[len(words) - known :])
    return torch.cat(parts)


def _rate(step: int, settings: CoopSchedule) -> float:
    if step < settings.warmup:
        return 0.01
    return 0.5 * (1 + float(np.cos(np.pi * step / settings.steps)))


def _identity(
    examples: Examples, tower: TextTower, method: str, settings: CoopSchedule, scale: float
) -> str:
    """A digest of all that decides a run."""
    facts = [asdict(settings), tower.fingerprint, method, scale, examples.names]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for tensor in (examples.embeddings, examples.classes):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
