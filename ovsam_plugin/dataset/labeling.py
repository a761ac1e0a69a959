"""`label_dataset`: labels a dataset or view, records the run, and goes on where one stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.utils as fou

from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.database import require_database
from ovsam_plugin.dataset.embedder import Embedder, recorded_as
from ovsam_plugin.dataset.field_preparation import prepare_field
from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.first_look import colour_classes
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import stages_of
from ovsam_plugin.dataset.labeling_job import LabelingJob
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.model_building import build_model
from ovsam_plugin.dataset.overwriting import Overwrite, check_replaceable
from ovsam_plugin.dataset.prompt_kinds import prompt_fields_of
from ovsam_plugin.dataset.prompt_view import prompt_view
from ovsam_plugin.dataset.share import Share
from ovsam_plugin.dataset.targets import (
    Samples,
    check_images,
    check_prompt_fields,
    root_dataset,
    with_all_fields,
)
from ovsam_plugin.dataset.unanswered_prompts import unfinished
from ovsam_plugin.dataset.vocabulary_spec import Examples, VocabularySpec, vocabulary_of
from ovsam_plugin.dataset.workers import FIELDS_AND_RUNS, Worker
from ovsam_plugin.engines.engine import LabelingEngine
from ovsam_plugin.engines.table import labeling_engine
from ovsam_plugin.hardware.precision import Precision
from ovsam_plugin.images.tiles import Tiles
from ovsam_plugin.namers import Cut, NamerSpec
from ovsam_plugin.ranges import check_count
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.renaming import renamed
from ovsam_plugin.vocabulary.vocabulary import Category

logger = logging.getLogger(__name__)

# As for `LabelingJob`, by device; elsewhere 1.
_BATCH_SIZE = {"cpu": None, "cuda": 8}
# Images whose instances a namer looks at together.
_NAMED_TOGETHER = 16


@dataclass(frozen=True)
class LabelSummary:
    """What one call did.

    Attributes:
        field: the label field.
        samples: samples of the dataset or view.
        labelled: samples labelled by this call, those with a reason of failure included.
        kept: samples that had their labels from an earlier call, and no new prompts.
        failed: samples of this call with a reason in the error field, wholly or in some prompts.
        instances: labels written by this call.
        seconds: how long it took, loading of the model included.
        reasons: the first few reasons of failure.
        left: samples that are still to be labelled, where somebody stopped it.
    """

    field: str
    samples: int = 0
    labelled: int = 0
    kept: int = 0
    failed: int = 0
    instances: int = 0
    seconds: float = 0.0
    reasons: tuple[str, ...] = ()
    left: int = 0


@renamed(field="label_field")
def label_dataset(
    samples: Samples,
    *,
    preset: str = "ovsam-lite",
    weights: str | Path | None = None,
    vocabulary: VocabularySpec = "lvis",
    examples: Examples | None = None,
    label_field: str = "ovsam",
    box_field: str | None = None,
    point_field: str | None = None,
    mask_field: str | None = None,
    refine_masks: bool = False,
    find: str | Category | None = None,
    min_confidence: float | None = None,
    min_objectness: float | None = None,
    all_candidates: bool = False,
    tiles: Tiles = "auto",
    calibration: Calibration | str | Path | None = None,
    adapter: Adapter | str | Path | None = None,
    namer: str | NamerSpec | None = None,
    cuts: str | Sequence[Cut] | None = None,
    grid: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    devices: str | Sequence[str] | None = None,
    engine: str = "local",
    address: str | None = None,
    worker_gpus: float | None = None,
    precision: Precision = "auto",
    compile: bool = False,
    embeddings: bool = True,
    index_backend: str | None = None,
    overwrite: Overwrite = False,
    progress: bool | Callable[[Any], None] | None = None,
) -> LabelSummary:
    """Finds and names instances, and writes them to a label field.

    Called again with the same settings it labels only samples that have no labels yet or that
    could not be labelled, answers prompts that it has not answered where they lie now (drawn or
    attached since, hidden by a view, moved), and makes embeddings that labels of the run lack. So a
    run that was stopped, even killed, is finished by the same call. A prompt that was refused is
    asked again once it is changed; until then its reason stands in `<field>_error`.

    Several calls may label one field at once, in other processes or on other machines too: they
    share the samples of their views. `stop_labeling` ends them.

    Args:
        samples: a dataset or view of images.
        preset: which model.
        weights: a .safetensors file of the assembled model; the preset's own when None.
        vocabulary: as for `load_vocabulary`, or "dataset:FIELD" for the classes present in a
            label field of the dataset.
        examples: instances of classes, by the classes' names, which say what words cannot: ids of
            labels of the dataset, or "IMAGE:x1,y1,x2,y2". They are kept with the run; see
            `Category.examples`, which does the same.
        label_field: where labels go; reasons of failure go to `<field>_error`.
        box_field, point_field, mask_field: fields whose labels ask, one answer per label; without
            any of them, everything is labelled. See `prompt_kinds` for their types.
        refine_masks: whether the masks of `mask_field` are drawn anew instead of only named.
        find: words, or a class with examples; only instances that fit them are kept.
        min_confidence: labels below it are left out; None keeps every answer.
        min_objectness: instances that are less surely one whole thing are left out; when None,
            those below the preset's own when nothing is asked, and none else.
        all_candidates: whether every candidate is kept when nothing is asked, in place of one
            instance for each thing.
        tiles: large photographs, and boxes of small things, are looked at in overlapping parts
            too: "auto", "off", or a number of parts along the longer side.
        calibration: of the confidences, or its file; kept with the run. Labels below its
            thresholds are left out.
        adapter: what `learn_names` learned from decisions, or its file; for the weights and the
            vocabulary that it was learned for.
        namer: who names what the preset draws, where not the preset itself:
            "openclip:MODEL/WEIGHTS", any model of open_clip, which looks at instances cut out of
            the photograph; or another preset.
        cuts: how an open_clip model is shown an instance, as "MARGIN:BACKGROUND, ..." or `Cut`s,
            whose embeddings are averaged; `namers.DEFAULT_CUTS` when None.
        grid: points along the longer side to look from when nothing is asked; the preset's own
            when None.
        batch_size: images that are taken, and whose labels are written, at once; an accelerator
            also encodes them in one pass. When None, 8 on CUDA, 1 on other accelerators, 16 with a
            namer, and on a CPU as many as are labelled in about a second.
        workers: processes that load images.
        device: "auto", "cpu", "cuda", ...
        devices: several, each with a process of its own: "all" accelerators of this machine,
            "cuda:0,cuda:1", or a list.
        engine: "local", or "ray" for a cluster; see docs/scale.md.
        address: of the Ray cluster, such as "auto"; one is started on this machine when None.
        worker_gpus: GPUs that a worker on the cluster takes, such as 0.5.
        precision: what is computed with: "fp32" gives the published numbers, "bf16" and "fp16" are
            faster where the processor has them, "auto" is whichever suits the device. It is
            recorded with the run; calls of one run may differ in it.
        compile: whether the encoder is compiled for this machine by `torch.compile`: its first
            photograph, and the first of another size, then take half a minute or more.
        embeddings: whether the instances' embeddings are kept in the similarity run
            `<field>_similarity`, for text search, relabelling and what else curation does.
        index_backend: of that run, "database" or "lancedb"; by size when None.
        overwrite: True makes labels that are there already again, where runs of ours made them and
            no person decided about them or changed them; "all" replaces whatever the field holds,
            which a warning tells.
        progress: True or False for a progress bar, None for FiftyOne's own setting, or a function
            that FiftyOne's progress bar is given to.

    Returns:
        what this call did.

    Raises:
        TypeError: `samples` is no dataset or view.
        NoDatabaseError: FiftyOne has no database.
        FileNotFoundError: the weights are not on this machine and cannot be fetched.
        ValueError: the samples are not images, a field is unknown or of another type, the field
            holds labels made with other settings, or a person's work that `overwrite` does not
            cover, is read-only, or a setting is out of range. Nothing has been written then.
    """
    started, clock = runs.now(), time.monotonic()
    require_database()
    dataset, samples = root_dataset(samples), with_all_fields(samples)
    prompt_fields = prompt_fields_of(
        box_field=box_field, point_field=point_field, mask_field=mask_field
    )
    if find is not None and prompt_fields:
        raise ValueError(f"`find` searches whole photographs: leave out {', '.join(prompt_fields)}")
    check_field(dataset, label_field)
    if label_field in prompt_fields.values():
        raise ValueError(
            f"field {label_field!r} holds the prompts: labels must go to another field"
        )
    # Read once: what the view chooses may depend on the field that is written.
    ids = list(dict.fromkeys(samples.values("id")))
    if not ids:
        logger.warning("the dataset or view holds no samples: there is nothing to label")
        return LabelSummary(field=label_field)
    check_images(samples)
    check_prompt_fields(samples, prompt_fields)
    asking = prompt_view(samples, label_field, prompt_fields)
    check_replaceable(dataset, label_field, overwrite, ids)
    check_count("batch_size", batch_size)
    crew = labeling_engine(engine, address=address, worker_gpus=worker_gpus, devices=devices)
    arguments: dict[str, Any] = {
        "preset": preset,
        "weights": weights,
        "vocabulary": vocabulary_of(dataset, vocabulary, examples),
        "min_confidence": min_confidence,
        "min_objectness": min_objectness,
        "all_candidates": all_candidates,
        "tiles": tiles,
        "points_per_side": grid,
        "refine_masks": refine_masks,
        "find": find,
        "calibration": calibration,
        "adapter": adapter,
        "namer": namer,
        "cuts": cuts,
        "precision": precision,
        "compile": compile,
    }
    with _started(crew, dataset, label_field, ids, overwrite) as helpers:
        model = build_model(**arguments, dataset=dataset, device=device)
        settings = _settings(model, prompt_fields)
        if embeddings:
            embedder = Embedder.of(asdict(settings))
            embedding_index.check_possible(dataset, label_field, embedder, index_backend)
        with Worker(dataset, label_field) as worker:
            with worker.lease(FIELDS_AND_RUNS):
                as_stored(dataset)
                prepare_field(dataset, ids, label_field, settings, model, overwrite, worker)
                colour_classes(dataset)
                worker.begin()
            usual = _BATCH_SIZE.get(model.labeler.predictor.device.type, 1)
            together = batch_size or (usual if model.namer is None else _NAMED_TOGETHER)
            job = LabelingJob(
                asking,
                dataset,
                label_field,
                model,
                prompt_fields,
                worker,
                embeddings=embeddings,
                batch_size=together,
                workers=workers,
            )
            since = runs.last_started(dataset, label_field)
            todo = [] if helpers is None else job.unfinished(ids)
            if helpers is not None and todo:
                share = Share(
                    dataset=dataset.name,
                    view=stages_of(asking),
                    field=label_field,
                    model=arguments,
                    prompt_fields=prompt_fields,
                    embeddings=embeddings,
                    batch_size=together,
                    workers=workers,
                    since=since,
                )
                with fou.ProgressBar(total=len(todo), progress=progress) as bar:
                    job.tally.add(helpers.run(share, todo, bar.update))
            # With workers elsewhere, what they left.
            job.run(ids, since, progress)
            if embeddings:
                _file(job, dataset, label_field, settings, index_backend, worker, set(ids))
            summary = LabelSummary(
                field=label_field,
                samples=len(ids),
                labelled=job.tally.labelled,
                kept=len(ids) - len(job.wanted.union(todo)),
                failed=job.tally.failed,
                instances=job.tally.instances,
                seconds=round(time.monotonic() - clock, 3),
                reasons=tuple(job.tally.reasons),
                left=job.left,
            )
            session = {"started": started, "precision": settings.precision, **asdict(summary)}
            runs.add_session(dataset, label_field, session)
    return summary


@renamed(field="label_field")
def stop_labeling(samples: Samples, label_field: str = "ovsam") -> int:
    """Asks the calls that are labelling a field to stop once the photographs at hand are done.

    What they have done stays, and the same call goes on with the rest later.

    Args:
        samples: the dataset, or a view of it.
        label_field: the label field.

    Returns:
        how many calls were asked, in whatever process or on whatever machine.

    Raises:
        TypeError: `samples` is no dataset or view.
    """
    return Worker(root_dataset(samples), label_field).stop_others()


@contextmanager
def _started(
    crew: LabelingEngine | None,
    dataset: fo.Dataset,
    field: str,
    ids: Sequence[str],
    overwrite: Overwrite,
) -> Iterator[LabelingEngine | None]:
    """Those that help, there or on their way meanwhile; None where there is no work for any."""
    most = 0
    if crew is not None:
        most = len(ids) if overwrite else len(unfinished(dataset, field, ids))
    if crew is None or not most:
        yield None
        return
    with crew.started(most):
        yield crew


def _file(
    job: LabelingJob,
    dataset: fo.Dataset,
    field: str,
    settings: runs.Settings,
    backend: str | None,
    worker: Worker,
    ids: set[str],
) -> None:
    """Files what was spooled, then makes what these samples' labels lack."""
    lost: dict[str, list[str]] = {}
    embedder = Embedder.of(asdict(settings))
    embedding_index.refresh(dataset, field, embedder, backend, worker=worker, lost=lost)
    here = {sample_id: labels for sample_id, labels in lost.items() if sample_id in ids}
    if here and job.embed(here):
        embedding_index.refresh(dataset, field, embedder, backend, worker=worker)


def _settings(model: OvsamModel, prompt_fields: dict[str, str]) -> runs.Settings:
    labeler, config, grid = model.labeler, model.config, model.config.grid
    vocabulary, calibration = labeler.recognizer.vocabulary, labeler.calibration
    adapter = labeler.recognizer.adapter
    return runs.Settings(
        preset=labeler.predictor.preset.name,
        weights=labeler.predictor.weights_hash,
        vocabulary=vocabulary.name,
        vocabulary_hash=vocabulary.hash,
        prompt_fields=prompt_fields,
        find=config.find,
        min_confidence=config.confidence_thresh,
        points_per_side=None if prompt_fields or grid is None else grid.points_per_side,
        refine_masks=config.refine_masks,
        calibration=None if calibration is None else calibration.to_json(),
        adapter=model.found_by if adapter is None else adapter.hash,
        min_objectness=labeler.min_objectness,
        all_candidates=labeler.all_candidates and not prompt_fields,
        tiles=config.tiles,
        **recorded_as(model.namer, labeler.embedder),
        precision=labeler.predictor.precision,
    )
