"""How fast the parts are beside what they replace: each row a ratio measured in one run.

    python benchmarks/targets.py [NAME ...] [--json FILE] [--results FILE] [--device D] [--quick]

A row takes turns between the two that it compares, so that a machine whose speed drifts favours
neither, and its ratio is the median of the turns' ratios. Weights are random where time does not
depend on them. `--quick` takes fewer turns and images for a first look. It ends with 1 where a
target is not met. `pipeline`, `ray` and `memory` make datasets of their own and delete them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.hardware.device import pick_device  # noqa: E402
from ovsam_plugin.hardware.precision import Precision, computing_in  # noqa: E402
from ovsam_plugin.network.ovsam import OVSAM  # noqa: E402
from ovsam_plugin.prediction.predictor import Predictor  # noqa: E402
from ovsam_plugin.prediction.prompts import Box, Grid  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402

Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: of the row, and what is held against what.
        ratio: the measured one.
        target: what it should be.
        at_least: whether the target is a lower bound.
        met: whether it holds.
    """

    name: str
    ratio: float
    target: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


class Bench:
    """What rows are measured with.

    Args:
        device: where.
        quick: for a first look.
    """

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device = device
        self.quick = quick
        self.turns = 2 if quick else 5
        self._published: Predictor | None = None

    def published(self) -> Predictor:
        """The published network with random weights."""
        if self._published is None:
            torch.manual_seed(0)
            preset = get_preset("ovsam-rn50x16-coco")
            network = OVSAM(preset.network).to(self.device)
            self._published = Predictor(network, preset, "random")
        return self._published

    def photograph(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What is on it changes no time, but where everything is asked."""
        import skimage.data

        return np.asarray(cv2.resize(skimage.data.astronaut(), (640, 480)), dtype=np.uint8)

    def boxes(self, count: int) -> list[Box]:
        """Boxes of many sizes on the photograph."""
        corners = np.random.default_rng(1).random((count, 2, 2)) * (638, 478)
        return [
            Box((*a, *b)) for a, b in zip(corners.min(1).tolist(), (corners.max(1) + 2).tolist())
        ]

    def seconds(self, run: Run) -> float:
        """Of one run, the device's work included."""
        start = time.perf_counter()
        run()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    @torch.inference_mode()
    def ratio(self, slow: Run, fast: Run) -> float:
        """How many times faster the second is, after one run of each to warm up."""
        slow(), fast()
        return statistics.median(self.seconds(slow) / self.seconds(fast) for _ in range(self.turns))

    def computing(self, precision: Precision, run: Run) -> Run:
        """The same in a precision."""

        def inside() -> object:
            with computing_in(precision, self.device):
                return run()

        return inside


def neck(bench: Bench) -> list[Row]:
    from segment_anything.modeling.image_encoder import Block

    preset = get_preset("ovsam-rn50x16-coco").network
    ours = bench.published().network.neck.blocks
    theirs = nn.ModuleList(
        Block(
            dim=preset.neck_dim,
            num_heads=preset.neck_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=0 if i in preset.neck_global else preset.neck_window,
            input_size=(64, 64),
        )
        for i in range(preset.neck_depth)
    )
    theirs.load_state_dict(ours.state_dict())
    theirs = theirs.eval().requires_grad_(False).to(bench.device)
    x = torch.randn(1, 64, 64, preset.neck_dim, device=bench.device)
    mine, sams = (nn.Sequential(*blocks) for blocks in (ours, theirs))
    half = bench.computing("bf16", lambda: mine(x))
    return [
        Row(
            "neck, fp32, against SAM's blocks", bench.ratio(lambda: sams(x), lambda: mine(x)), 1.15
        ),
        Row("neck, bf16, against SAM's blocks in fp32", bench.ratio(lambda: sams(x), half), 2.3),
    ]


def encoder(bench: Bench) -> list[Row]:
    whole = bench.published()
    half, frame = whole.at_precision("bf16"), whole.preprocess(bench.photograph())
    ratio = bench.ratio(lambda: whole.encode([frame]), lambda: half.encode([frame]))
    return [Row("encoder, neck and pyramid, bf16 against fp32", ratio, 1.8)]


def decoder(bench: Bench) -> list[Row]:
    from segment_anything.modeling.mask_decoder import MaskDecoder
    from segment_anything.modeling.transformer import TwoWayTransformer

    ours = bench.published()
    theirs = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048))
    theirs = theirs.eval().requires_grad_(False).to(bench.device)
    (encoding,) = ours.encode([ours.preprocess(bench.photograph())])
    batch = ours._prompt_batch(encoding, tuple(bench.boxes(20 if bench.quick else 100)))
    pe, image = ours.network.pe, encoding.features.image

    def sams() -> None:
        for i in range(0, len(batch), 16):
            part = batch[i : i + 16]
            sparse, dense = pe(None, part.boxes, None)
            theirs(image, pe.get_dense_pe(), sparse, dense, multimask_output=False)

    def mine() -> None:
        for i in range(0, len(batch), 16):
            ours.network.decode(encoding.features, batch[i : i + 16])

    half = bench.computing("bf16", mine)
    return [
        Row("decoder of boxes, fp32, against SAM's", bench.ratio(sams, mine), 1.5),
        Row("decoder of boxes, bf16, against SAM's in fp32", bench.ratio(sams, half), 2.5),
    ]


def photograph(bench: Bench) -> list[Row]:
    """The whole network beside SAM, whose masks are cut out and embedded by the same CLIP."""
    from segment_anything import SamPredictor, sam_model_registry

    from ovsam_plugin.namers.tower import Tower

    ours, image = bench.published(), bench.photograph()
    tower = Tower.of(ours)
    rows = []
    for name, count, target in (("vit_h", 10, 2.8), ("vit_b", 50, 2.5)):
        sam = SamPredictor(sam_model_registry[name]().eval().requires_grad_(False).to(bench.device))
        boxes = bench.boxes(count)
        corners = torch.tensor([box.xyxy for box in boxes], device=bench.device)
        crops = [
            np.ascontiguousarray(cv2.resize(image, (tower.crop_size, tower.crop_size)))
        ] * count

        def theirs(
            sam: Any = sam, corners: torch.Tensor = corners, crops: list[Any] = crops
        ) -> None:
            sam.set_image(image)
            asked = sam.transform.apply_boxes_torch(corners, image.shape[:2])
            sam.predict_torch(None, None, boxes=asked, multimask_output=False)
            tower.embed_pictures(crops)

        def mine(boxes: list[Box] = boxes) -> None:
            (encoding,) = ours.encode([ours.preprocess(image)])
            ours.decode(encoding, boxes)

        ratio = bench.ratio(theirs, mine)
        rows.append(Row(f"{count} boxes against SAM {name} and CLIP on crops", ratio, target))
    return rows


def everything(bench: Bench) -> list[Row]:
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    from ovsam_plugin.prediction.everything import find_everything

    side = 8 if bench.quick else 32
    ours, image = bench.published(), bench.photograph()
    sam = sam_model_registry["vit_b"]().eval().requires_grad_(False).to(bench.device)
    # The decoders alone: the encoders differ, and each runs once.
    embedding = torch.randn(1, 256, 64, 64, device=bench.device)
    sam.image_encoder.forward = lambda _: embedding
    # No answer is left out before it is counted: what random weights think of theirs says nothing.
    generator = SamAutomaticMaskGenerator(
        sam, points_per_side=side, pred_iou_thresh=-9.0, stability_score_thresh=0.0
    )
    (encoding,) = ours.encode([ours.preprocess(image)])
    ratio = bench.ratio(
        lambda: generator.generate(image), lambda: find_everything(ours, encoding, Grid(side))
    )
    return [Row(f"everything of {side} x {side} points against SAM's generator", ratio, 3.0)]


def pool(bench: Bench) -> list[Row]:
    from ovsam_plugin.network.image_encoder import attention_pool

    head: Any = bench.published().network.backbone.head
    regions = torch.randn(10 if bench.quick else 100, 3072, 12, 12, device=bench.device)
    with torch.inference_mode():
        far = float((head(regions[:4]) - attention_pool(head, regions[:4])).abs().max())
    ratio = bench.ratio(lambda: head(regions), lambda: attention_pool(head, regions))
    return [
        Row("CLIP's attention pool against open_clip's", ratio, 2.0),
        Row("the largest difference of its numbers", far, 1e-4, at_least=False),
    ]


def vocabulary(bench: Bench) -> list[Row]:
    from ovsam_plugin.prediction.labeler import load_labeler

    image, boxes = bench.photograph(), bench.boxes(10)
    few, many = (
        load_labeler("ovsam-lite", vocabulary=name, device=str(bench.device))
        for name in ("coco", "open-22k")
    )
    ratio = bench.ratio(
        lambda: many.label_image(image, boxes), lambda: few.label_image(image, boxes)
    )
    return [Row("22,000 classes against 80, ovsam-lite, 10 boxes", ratio, 1.1, at_least=False)]


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
    return [_on_ray(bench, None), _on_ray(bench, "asks")]


def _on_ray(bench: Bench, asks: str | None) -> Row:
    """Two workers of one thread against one process of one thread, each in a process of its own."""
    spent, count = [], 0
    for arguments in ({}, {"engine": "ray"}):
        dataset = _dataset(bench)
        count = len(dataset)
        work = (
            "import json, sys, time, torch; torch.set_num_threads(1)\n"
            "import fiftyone as fo; from ovsam_plugin import label_dataset\n"
            "name, asks, given = json.loads(sys.argv[1])\n"
            "if given:\n"
            "    import ray; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
            "start = time.monotonic()\n"
            "label_dataset(fo.load_dataset(name), vocabulary='coco', box_field=asks, workers=0,\n"
            "              device='cpu', progress=False, **given)\n"
            "print('took', time.monotonic() - start)\n"
        )
        try:
            done = subprocess.run(
                [sys.executable, "-c", work, json.dumps([dataset.name, asks, arguments])],
                check=True,
                capture_output=True,
                text=True,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        finally:
            dataset.delete()
        spent.append(float(done.stdout.split("took")[-1]))
    kind = "by boxes" if asks else "everything"
    title = f"Ray, 2 workers against one process, {count} photographs, {kind}"
    return Row(title, spent[0] / spent[1], 1.7)


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


def _dataset(bench: Bench) -> Any:
    """Photographs with ten boxes each."""
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
        for i in range(30 if bench.quick else 500)
    ]
    dataset.add_samples(samples, progress=False)
    return dataset


ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "neck": neck,
    "encoder": encoder,
    "decoder": decoder,
    "photograph": photograph,
    "everything": everything,
    "pool": pool,
    "vocabulary": vocabulary,
    "pipeline": pipeline,
    "ray": ray,
    "memory": memory,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="a page that the table is added to"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - ROWS.keys():
        parser.error(f"there is no row {', '.join(sorted(unknown))}: there are {', '.join(ROWS)}")
    bench = Bench(pick_device(given.device), given.quick)
    machine = (
        f"{_processor()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )
    if bench.device.type == "cuda":
        machine += f", {torch.cuda.get_device_name(bench.device)}"
    found = [row for name in given.names or ROWS for row in ROWS[name](bench)]
    table = Table(title=f"{machine}{', quick' if given.quick else ''}")
    for head in ("what", "ratio", "target", "met"):
        table.add_column(head, justify="left" if head == "what" else "right")
    for row in found:
        sign = ">=" if row.at_least else "<="
        met = "yes" if row.met else "no"
        table.add_row(row.name, f"{row.ratio:.3g}", f"{sign} {row.target:g}", met)
    Console(width=110).print(table)
    if given.json is not None:
        rows = [{**asdict(row), "met": row.met} for row in found]
        given.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    if given.results is not None:
        write_results(given.results, machine, arguments or sys.argv[1:], found)
    return 0 if all(row.met for row in found) else 1


def write_results(path: Path, machine: str, arguments: Sequence[str], rows: Sequence[Row]) -> None:
    """Adds the rows to a page, with where and how they were measured."""
    before = path.read_text() if path.exists() else "# Results\n"
    lines = [
        "",
        f"`python benchmarks/targets.py {' '.join(arguments)}`, {date.today()}: {machine}.",
        "",
        "| what | ratio | target | met |",
        "|---|---|---|---|",
        *(
            f"| {row.name} | {row.ratio:.3g} | {'≥' if row.at_least else '≤'} {row.target:g} "
            f"| {'yes' if row.met else 'no'} |"
            for row in rows
        ),
    ]
    path.write_text(before + "\n".join(lines) + "\n")


def _processor() -> str:
    """Its name, as far as the system tells."""
    told = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", told.read_text()) if told.exists() else []
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
