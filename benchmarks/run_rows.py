"""The rows of whole runs: of a dataset, on several workers, and their memory.

Each makes datasets of its own and deletes them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench import Bench, Row

ROOT = Path(__file__).resolve().parent.parent


def pipeline(bench: Bench) -> list[Row]:
    return [_whole_run(bench, "asks"), _whole_run(bench, None)]


def _whole_run(bench: Bench, asks: str | None) -> Row:
    """Everything around the network against the network alone."""
    from ovsam_plugin import label_dataset
    from ovsam_plugin.dataset.model_building import build_model

    settings: dict[str, Any] = {"vocabulary": "coco", "device": str(bench.device)}
    dataset = _dataset(bench)

    def alone() -> None:
        for item in items:
            model.answer([item])

    def whole() -> None:
        label_dataset(dataset, box_field=asks, progress=False, **settings)

    try:
        model = build_model(**settings)
        table = dataset.to_torch(model.build_get_item({"box_prompt_field": asks} if asks else {}))
        items = [table[i] for i in range(len(dataset))]
        model.answer(items[:1])
        ratio = 1 / (bench.seconds(alone) / bench.seconds(whole))
    finally:
        dataset.delete()
    kind = "by boxes" if asks else "everything"
    title = f"all of {len(items)} photographs against the network alone, lite, {kind}"
    return Row(title, ratio, 1.25, at_least=False)


def ray(bench: Bench) -> list[Row]:
    # As many as take one process some three minutes, so that the workers' start weighs the same.
    return [*_on_ray(bench, None, 500), *_on_ray(bench, "asks", 1000)]


_LABEL = """
import json, sys, time, torch; torch.set_num_threads(1)
import fiftyone as fo; from ovsam_plugin import label_dataset
name, asks, given = json.loads(sys.argv[1])
if given:
    import ray; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
dataset, seconds = fo.load_dataset(name), []
for field, samples in {"first": dataset.limit(8), "ovsam": dataset}.items():
    start = time.monotonic()
    label_dataset(samples, vocabulary="coco", label_field=field, box_field=asks, workers=0,
                  device="cpu", progress=False, **given)
    seconds.append(time.monotonic() - start)
print("took", json.dumps(seconds))
"""


def _on_ray(bench: Bench, asks: str | None, photographs: int) -> list[Row]:
    """Two workers of one thread against one process of one thread, each in a process of its own.

    A few photographs come first, with which models are loaded and workers start: once with and
    once without them.
    """
    spent, count = [], 0
    for arguments in ({}, {"engine": "ray"}):
        dataset = _dataset(bench, photographs)
        count = len(dataset)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _LABEL, json.dumps([dataset.name, asks, arguments])],
                check=True,
                capture_output=True,
                text=True,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        finally:
            dataset.delete()
        spent.append(json.loads(done.stdout.split("took")[-1]))
    kind = "by boxes" if asks else "everything"
    title = f"Ray, 2 workers against one process, {count:,} photographs, {kind}"
    alone, together = spent
    return [
        Row(f"{title}, with their start", sum(alone) / sum(together), 1.7),
        Row(f"{title}, once they have started", alone[1] / together[1], 1.7),
    ]


def memory(bench: Bench) -> list[Row]:
    """Peaks of fresh processes; see memory.py."""
    import fiftyone as fo

    from benchmarks.memory import make_dataset, make_photographs, peak

    def of(work: str, make: Callable[[int], str], count: int) -> float:
        name = make(count)
        try:
            return peak(work, name)
        finally:
            fo.delete_dataset(name)

    images, instances = (200, 3000) if bench.quick else (2000, 100_000)
    runs = [of("labelling", make_photographs, count) for count in (100, images)]
    prompts = [peak("mask prompts", count) for count in (10, 1000)]
    exports = [of("export", make_dataset, count) for count in (1000, instances)]
    return [
        Row(f"memory of {images:,} photographs against 100", runs[1] / runs[0], 1.05, False),
        Row("GB more for 1,000 mask prompts than for 10", prompts[1] - prompts[0], 0.5, False),
        Row(
            f"GB more to export {instances:,} instances than 1,000",
            exports[1] - exports[0],
            0.2,
            False,
        ),
    ]


def _dataset(bench: Bench, photographs: int = 500) -> Any:
    """Photographs with ten boxes each; few where a first look will do."""
    import fiftyone as fo
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    paths = [str(folder / name) for name in ("chelsea.png", "coffee.png", "astronaut.png")]
    corners = np.random.default_rng(0).random((10, 2, 2))
    boxes = [
        [*low, *np.maximum(high - low, 0.02)]
        for low, high in zip(corners.min(1) * 0.95, corners.max(1))
    ]
    dataset = fo.Dataset(persistent=True)
    samples = [
        fo.Sample(
            filepath=paths[i % len(paths)],
            asks=fo.Detections(
                detections=[fo.Detection(label="x", bounding_box=box) for box in boxes]
            ),
        )
        for i in range(30 if bench.quick else photographs)
    ]
    dataset.add_samples(samples, progress=False)
    return dataset
