"""Masks and names of a preset on annotated photographs: the figures of the model card.

    python benchmarks/quality.py IMAGES_DIR ANNOTATIONS.json [--kept-back] [--everything]
        [--weights FILE] [--seen coco/base]

ANNOTATIONS is a COCO file. `--kept-back` takes only the photographs that `ovsam-lite`'s training
leaves out (chosen by a hash of the file name). Crowds are left out.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pycocotools.coco import COCO
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.dataset.annotations import deepest_point  # noqa: E402
from ovsam_plugin.images import read_image  # noqa: E402
from ovsam_plugin.instances import Instances  # noqa: E402
from ovsam_plugin.labeler import load_labeler  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.prompts import Box, Points, Prompt  # noqa: E402
from ovsam_plugin.training.annotations import is_validation  # noqa: E402
from ovsam_plugin.vocabulary import load_vocabulary  # noqa: E402

# COCO's small, medium and large, in pixels of area.
SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, float("inf")))
BEST = 100


def mask_ious(instances: Instances, truths: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """IoU at the photograph's own size of each instance with the truth of the same index."""
    masks = (instances.full_mask(i) for i in range(len(instances)))
    return np.array([(m & t).sum() / max((m | t).sum(), 1) for m, t in zip(masks, truths)])


def best_ious(instances: Instances, truths: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """For each truth, the largest IoU with any of the first 100 instances."""
    masks = [instances.full_mask(i) for i in range(min(len(instances), BEST))]
    return np.array(
        [max(((m & t).sum() / (m | t).sum() for m in masks), default=0.0) for t in truths]
    )


def annotated(
    coco: COCO, images: Path, kept_back: bool
) -> Iterator[tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.bool_]], list[int], list[Box]]]:
    """Photographs with their masks, categories and boxes."""
    records = [r for r in coco.imgs.values() if not kept_back or is_validation(r["file_name"])]
    for record in track(records, description="photographs"):
        found = [a for a in coco.imgToAnns[record["id"]] if not a.get("iscrowd") and a["area"] > 0]
        found = [a for a in found if min(a["bbox"][2:]) > 0 and coco.annToMask(a).any()]
        if not found:
            continue
        boxes = [Box((x, y, x + w, y + h)) for x, y, w, h in (a["bbox"] for a in found)]
        masks = [coco.annToMask(a).astype(bool) for a in found]
        image = read_image(images / record["file_name"])
        yield image, masks, [a["category_id"] for a in found], boxes


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--kept-back", action="store_true")
    parser.add_argument("--everything", action="store_true", help="also recall without prompts")
    parser.add_argument("--preset", default="ovsam-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seen", help="classes the weights were trained on, such as coco/base")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()

    coco = COCO(str(args.annotations))
    preset = get_preset(args.preset)
    preset = replace(preset, seen=args.seen or preset.seen)
    labeler = load_labeler(preset, vocabulary="coco", device=args.device, weights=args.weights)
    vocabulary = load_vocabulary("coco")
    index = {category.id: i for i, category in enumerate(vocabulary.categories)}
    split = np.array([category.split or "" for category in vocabulary.categories])

    rows: dict[str, list[npt.NDArray[np.float64]]] = {}
    seconds = {"encode": 0.0, "box": 0.0, "point": 0.0, "everything": 0.0}
    photographs = 0
    for image, truths, categories, boxes in annotated(coco, args.images, args.kept_back):
        photographs += 1
        frame = labeler.predictor.preprocess(image)
        start = time.perf_counter()
        (encoding,) = labeler.predictor.encode([frame])
        seconds["encode"] += time.perf_counter() - start
        points = [Points((deepest_point(mask),)) for mask in truths]
        right = np.array([index[c] for c in categories])
        rows.setdefault("area", []).append(np.array([t.sum() for t in truths], dtype=float))
        rows.setdefault("class", []).append(right.astype(float))
        asked: tuple[tuple[str, list[Prompt]], ...] = (("box", [*boxes]), ("point", [*points]))
        for kind, prompts in asked:
            start = time.perf_counter()
            instances, names = labeler.label(encoding, prompts)
            seconds[kind] += time.perf_counter() - start
            hits = names.top_indices == right[:, None]
            for key, values in (
                ("iou", mask_ious(instances, truths)),
                ("top1", hits[:, 0].astype(float)),
                ("top5", hits.any(1).astype(float)),
            ):
                rows.setdefault(f"{kind} {key}", []).append(values)
        if args.everything:
            start = time.perf_counter()
            instances, _ = labeler.label(encoding)
            seconds["everything"] += time.perf_counter() - start
            rows.setdefault("best", []).append(best_ious(instances, truths))

    columns = {key: np.concatenate(values) for key, values in rows.items()}
    area, classes = columns["area"], columns["class"].astype(int)
    groups = [("all", np.ones(len(area), dtype=bool))]
    groups += [(name, (area >= low) & (area < high)) for name, low, high in SIZES]
    groups += [(name, split[classes] == name) for name in ("base", "novel")]
    table = Table(
        title=f"{args.preset}: {photographs} photographs, {len(area)} instances, 80 names"
    )
    table.add_column("instances")
    for key in columns.keys() - {"area", "class"}:
        assert len(columns[key]) == len(area)
    keys = [f"{kind} {what}" for kind in ("box", "point") for what in ("iou", "top1", "top5")]
    heads = ["n", *keys, *(["found at IoU 0.5"] if args.everything else [])]
    for head in heads:
        table.add_column(head, justify="right")
    for name, chosen in groups:
        values = [f"{columns[key][chosen].mean():.3f}" for key in keys] if chosen.any() else []
        if args.everything and chosen.any():
            values.append(f"{(columns['best'][chosen] >= 0.5).mean():.3f}")
        table.add_row(name, str(int(chosen.sum())), *values)
    console = Console(width=130)
    console.print(table)
    each = {
        "encode": photographs, "box": len(area), "point": len(area), "everything": photographs
    }  # fmt: skip
    timing = ", ".join(
        f"{kind} {1000 * total / each[kind]:.0f} ms" for kind, total in seconds.items() if total
    )
    device = labeler.predictor.device
    console.print(f"{timing} (a photograph; a prompt, names included) on {device}")
    console.print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}, weights {labeler.predictor.weights_hash[:12]}"
    )


if __name__ == "__main__":
    main()
