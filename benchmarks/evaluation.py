"""Mask IoU against pycocotools and FiftyOne's `use_masks=True`, on the same pairs in one run.

    python benchmarks/evaluation.py [--images 5000] [--instances 36781] [--pairs-of-fiftyone 2000]

The masks are made up, at COCO's sizes: as many images and instances as its val2017, 640 x 480, each
instance with an answer that is a little off. All three start from what a label holds, a mask cut to
its box: pycocotools has to encode it on the whole image first, which is timed apart. FiftyOne takes
milliseconds a pair, so it is timed on some of them and its time is scaled up.

Also the time of COCO mAP by hotcoco and by pycocotools on these answers, and whether both agree.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.evaluation.average_precision import COCO_KEYS, average_precision  # noqa: E402
from ovsam_plugin.evaluation.mask_iou import iou_matrix, mask_iou  # noqa: E402
from ovsam_plugin.images.mask_crop import MaskCrop  # noqa: E402

SIZE = (480, 640)
CLASSES = 80
Image = list[MaskCrop]
T = TypeVar("T")


def ellipse(rng: np.random.Generator) -> MaskCrop:
    """A blob with a wavy outline; sides follow COCO's, from a few pixels to most of the image."""
    height, width = (int(np.clip(rng.lognormal(4.0, 0.9), 4, side - 2)) for side in SIZE)
    y, x = (int(rng.integers(0, side - s)) for side, s in zip(SIZE, (height, width)))
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    wave = 1 + 0.15 * np.sin(np.arctan2(rows, columns) * rng.integers(3, 9))
    return MaskCrop.at(rows**2 + columns**2 <= wave**2, x, y)


def answer(truth: MaskCrop, rng: np.random.Generator) -> MaskCrop:
    """The same blob a few pixels away."""
    shift = rng.integers(-3, 4, 2)
    x, y = (
        int(np.clip(start + step, 0, side - extent))
        for start, step, side, extent in zip(
            (truth.x, truth.y), shift, SIZE[::-1], truth.shape[::-1]
        )
    )
    return truth.moved(x, y)


def made_up(images: int, instances: int) -> tuple[list[Image], list[Image]]:
    """Truths and answers by image."""
    rng = np.random.default_rng(0)
    counts = np.bincount(rng.integers(0, images, instances), minlength=images)
    truths = [[ellipse(rng) for _ in range(count)] for count in counts]
    return truths, [[answer(truth, rng) for truth in image] for image in truths]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and its seconds."""
    start = time.perf_counter()
    value = work()
    return value, time.perf_counter() - start


def encode(crop: MaskCrop) -> dict[str, Any]:
    """As pycocotools takes it: the whole image painted, then run lengths."""
    canvas = np.zeros(SIZE, dtype=np.uint8, order="F")
    x1, y1, x2, y2 = crop.box
    canvas[y1:y2, x1:x2] = crop.mask
    rle: dict[str, Any] = coco_mask.encode(canvas)
    return rle


def by_fiftyone(truths: list[Image], answers: list[Image], pairs: int) -> tuple[int, float]:
    """Pairs that were compared, and seconds."""
    import fiftyone as fo
    import fiftyone.utils.iou as foui

    from ovsam_plugin.dataset.fields import relative_box

    def label(crop: MaskCrop) -> fo.Detection:
        box = relative_box(crop.box, SIZE)
        return fo.Detection(label="thing", bounding_box=box, mask=crop.mask)

    chosen = [
        (label(a), label(t)) for these, those in zip(answers, truths) for a, t in zip(these, those)
    ][:pairs]
    _, seconds = timed(lambda: [foui.compute_ious([a], [t], use_masks=True) for a, t in chosen])
    return len(chosen), seconds


def files(
    truths: list[Image], encoded: tuple[list[list[dict[str, Any]]], list[list[dict[str, Any]]]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """COCO's annotations and results of these masks."""
    rng = np.random.default_rng(1)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for i, (crops, right, given) in enumerate(zip(truths, *encoded), start=1):
        for crop, truth, said in zip(crops, right, given):
            category = int(rng.integers(1, CLASSES + 1))
            annotations.append({
                "id": len(annotations) + 1, "image_id": i, "category_id": category, "iscrowd": 0,
                "segmentation": truth, "area": crop.area, "bbox": [0, 0, 1, 1],
            })  # fmt: skip
            wrong = int(rng.integers(1, CLASSES + 1)) if rng.random() < 0.3 else category
            results.append({
                "image_id": i, "category_id": wrong, "segmentation": said,
                "score": float(rng.random()),
            })  # fmt: skip
    images = [{"id": i + 1, "height": SIZE[0], "width": SIZE[1]} for i in range(len(truths))]
    categories = [{"id": c, "name": f"class {c}"} for c in range(1, CLASSES + 1)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def by_pycocotools(truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of COCOeval."""
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO()
        annotations.dataset = truth
        annotations.createIndex()
        # It writes into the rows that it is given, and reads what it wrote when given them again.
        rows = [dict(row) for row in results]
        evaluator = COCOeval(annotations, annotations.loadRes(rows), "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(COCO_KEYS, map(float, evaluator.stats[:6])))


def difference(ours: list[npt.NDArray[np.float64]], theirs: list[Any]) -> float:
    """The largest of all pairs."""
    return max(float(np.abs(a - b).max(initial=0)) for a, b in zip(ours, theirs) if a.size)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--instances", type=int, default=36781)
    parser.add_argument("--pairs-of-fiftyone", type=int, default=2000)
    args = parser.parse_args()
    truths, answers = made_up(args.images, args.instances)
    flags = [[0] * len(image) for image in truths]

    def ours_paired() -> list[npt.NDArray[np.float64]]:
        return [np.array([*map(mask_iou, a, t)]) for a, t in zip(answers, truths)]

    paired, seconds_paired = timed(ours_paired)
    every, seconds_every = timed(lambda: [*map(iou_matrix, answers, truths)])
    _, seconds_half = timed(
        lambda: [iou_matrix(a, t, min_iou=0.5) for a, t in zip(answers, truths)]
    )
    encoded, seconds_encode = timed(
        lambda: tuple([[encode(c) for c in image] for image in side] for side in (truths, answers))
    )
    right, given = encoded
    coco_paired, seconds_coco_paired = timed(
        lambda: [
            np.array([coco_mask.iou([a], [t], [0])[0, 0] for a, t in zip(these, those)])
            for these, those in zip(given, right)
        ]
    )
    coco_every, seconds_coco_every = timed(
        lambda: [
            np.asarray(coco_mask.iou(a, t, f)).reshape(len(a), len(t))
            for a, t, f in zip(given, right, flags)
        ]
    )
    pairs, seconds_fiftyone = by_fiftyone(truths, answers, args.pairs_of_fiftyone)
    fiftyone_paired = seconds_fiftyone / max(pairs, 1) * args.instances

    table = Table(title=f"{args.instances:,} instances on {args.images:,} images, seconds")
    for head in ("", "ours", "pycocotools", "with its encoding", "FiftyOne use_masks=True"):
        table.add_column(head, justify="right" if head else "left")
    table.add_row(
        "each answer with its truth",
        f"{seconds_paired:.2f}",
        f"{seconds_coco_paired:.2f} ({seconds_coco_paired / seconds_paired:.1f}x)",
        f"{seconds_coco_paired + seconds_encode:.2f} "
        f"({(seconds_coco_paired + seconds_encode) / seconds_paired:.1f}x)",
        f"{fiftyone_paired:.1f} ({fiftyone_paired / seconds_paired:.0f}x)",
    )
    for name, seconds in (("all pairs", seconds_every), ("pairs of IoU 0.5 on", seconds_half)):
        table.add_row(
            name,
            f"{seconds:.2f}",
            f"{seconds_coco_every:.2f} ({seconds_coco_every / seconds:.1f}x)",
            f"{seconds_coco_every + seconds_encode:.2f} "
            f"({(seconds_coco_every + seconds_encode) / seconds:.1f}x)",
            "",
        )
    console = Console(width=120)
    console.print(table)
    largest = max(difference(paired, coco_paired), difference(every, coco_every))
    console.print(f"largest difference from pycocotools: {largest:.1e}")

    truth, results = files(truths, encoded)
    theirs, seconds_theirs = timed(lambda: by_pycocotools(truth, results))
    for record in (*truth["annotations"], *results):
        record["segmentation"]["counts"] = bytes(record["segmentation"]["counts"]).decode()
    found, seconds_found = timed(lambda: average_precision(truth, results))
    apart = max(abs(found[key] - theirs[key]) for key in COCO_KEYS if theirs[key] >= 0)
    console.print(
        f"COCO mAP: hotcoco {seconds_found:.1f} s, pycocotools {seconds_theirs:.1f} s "
        f"({seconds_theirs / seconds_found:.1f}x), largest difference {apart:.1e}"
    )
    console.print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    if largest > 1e-6 or apart > 1e-6:
        sys.exit("the figures differ")


if __name__ == "__main__":
    main()
