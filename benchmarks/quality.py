"""Masks, names and objectness of a preset on annotated photographs: the model card's figures.

    python benchmarks/quality.py IMAGES ANNOTATIONS.json [IMAGES ANNOTATIONS.json ...]
        [--part judge|choose|train|all] [--everything] [--preset NAME] [--weights FILE]
        [--precision P] [--seen coco/base] [--limit N]

ANNOTATIONS is a COCO file in which every thing of its classes is annotated. `--part` takes the
photographs that `ovsam-lite`'s training leaves out: "choose" to choose thresholds by, "judge" to
judge by, told apart by a hash of their names. Crowds are left out; answers on them do not count.
Figures come with the 95 % interval of 1,000 bootstrap samples of photographs.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from pycocotools.coco import COCO
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.dataset.annotations import deepest_point  # noqa: E402
from ovsam_plugin.evaluation.average_precision import average_precision  # noqa: E402
from ovsam_plugin.evaluation.mask_iou import crops_of, mask_iou  # noqa: E402
from ovsam_plugin.evaluation.outcomes import outcomes  # noqa: E402
from ovsam_plugin.evaluation.resampling import mean_intervals  # noqa: E402
from ovsam_plugin.hardware.precision import Precision  # noqa: E402
from ovsam_plugin.images.frame import make_frame  # noqa: E402
from ovsam_plugin.images.mask_crop import MaskCrop  # noqa: E402
from ovsam_plugin.images.reading import read_image  # noqa: E402
from ovsam_plugin.images.tiles import tiles_of_small  # noqa: E402
from ovsam_plugin.prediction.labeler import Labeler, load_labeler  # noqa: E402
from ovsam_plugin.prediction.predictor import Encoding  # noqa: E402
from ovsam_plugin.prediction.prompts import Box, Points, Prompt  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.training.annotations import load_annotations  # noqa: E402
from ovsam_plugin.training.lite_settings import part_of  # noqa: E402
from ovsam_plugin.vocabulary import load_vocabulary  # noqa: E402

# COCO's small, medium and large, in pixels of area.
SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, float("inf")))
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Photograph:
    """One photograph and what is on it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        truths, crowds: masks.
        classes: (N,) of the truths, places in COCO's 80.
        boxes: of the truths.
    """

    pixels: npt.NDArray[np.uint8]
    truths: list[MaskCrop]
    crowds: list[MaskCrop]
    classes: npt.NDArray[np.int64]
    boxes: list[Box]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which photographs, and which network."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="IMAGES ANNOTATIONS")
    parser.add_argument("--part", choices=("judge", "choose", "train", "all"), default="judge")
    parser.add_argument("--preset", default="ovsam-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="photographs; all when 0")


def read_sources(parser: argparse.ArgumentParser, files: list[Path]) -> list[tuple[Path, COCO]]:
    """Folders of photographs with their annotations, given in pairs."""
    if len(files) % 2:
        parser.error("give a folder of photographs and its annotations, and so on")
    return [(i, load_annotations(a)) for i, a in zip(files[::2], files[1::2])]


def photographs(sources: list[tuple[Path, COCO]], part: str, limit: int) -> Iterator[Photograph]:
    """Those of one part, with at least one thing on them."""
    vocabulary = load_vocabulary("coco")
    chosen = [
        (images, coco, record)
        for images, coco in sources
        for record in coco.imgs.values()
        if part in ("all", part_of(record["file_name"]))
    ]
    for images, coco, record in track(chosen[: limit or None], description="photographs"):
        truths, crowds, classes, boxes = [], [], [], []
        for a in coco.imgToAnns[record["id"]]:
            mask = MaskCrop.at(coco.annToMask(a).astype(bool))
            index = vocabulary.find(coco.cats[a["category_id"]]["name"])
            if a.get("iscrowd"):
                crowds.append(mask)
            elif mask.area and min(a["bbox"][2:]) > 0 and index is not None:
                truths.append(mask)
                classes.append(index)
                x, y, w, h = a["bbox"]
                boxes.append(Box((x, y, x + w, y + h)))
        if truths:
            pixels = read_image(images / record["file_name"])
            yield Photograph(pixels, truths, crowds, np.array(classes), boxes)


@dataclass
class Figures:
    """Values by name, each with the photograph that it is of."""

    values: dict[str, list[Floats]] = field(default_factory=dict)
    owners: dict[str, list[npt.NDArray[np.int64]]] = field(default_factory=dict)

    def add(self, name: str, photograph: int, values: Any) -> None:
        """Values of one photograph."""
        row = np.atleast_1d(np.asarray(values, dtype=np.float64))
        self.values.setdefault(name, []).append(row)
        self.owners.setdefault(name, []).append(np.full(len(row), photograph))

    def of(self, name: str) -> Floats:
        """All values, in the order of the photographs."""
        return np.concatenate(self.values[name]) if name in self.values else np.zeros(0)

    def mean(self, name: str, keep: npt.NDArray[np.bool_] | None = None) -> str:
        """The mean and its interval."""
        values, owners = self.of(name), np.concatenate(self.owners[name])
        if keep is not None:
            values, owners = values[keep], owners[keep]
        if not len(values):
            return "-"
        ((low, high),) = mean_intervals(values[:, None], owners)
        return f"{values.mean():.3f} ({low:.2f}-{high:.2f})"


def encoded(labeler: Labeler, photo: Photograph, tiles: bool) -> Encoding:
    """The photograph, with the tiles that its small boxes are asked in where these are wanted."""
    description = labeler.predictor.network.description
    size = photo.pixels.shape[0], photo.pixels.shape[1]
    boxes = np.array([box.xyxy for box in photo.boxes])
    parts = tiles_of_small(boxes, size, description.image_size) if tiles else []
    (encoding,) = labeler.predictor.encode([make_frame(photo.pixels, description, tiles=parts)])
    return encoding


def ask(
    labeler: Labeler, encoding: Encoding, photo: Photograph, row: int, figures: Figures
) -> None:
    """Boxes and centre points of the truths."""
    figures.add("area", row, [t.area for t in photo.truths])
    figures.add("class", row, photo.classes)
    points = [
        Points(((float(x + t.x), float(y + t.y)),))
        for t in photo.truths
        for x, y in (deepest_point(np.asarray(t.mask)),)
    ]
    asked: tuple[tuple[str, list[Prompt]], ...] = (("box", [*photo.boxes]), ("point", [*points]))
    for kind, prompts in asked:
        start = time.perf_counter()
        instances, names = labeler.label(encoding, prompts)
        figures.add(f"{kind} seconds", row, time.perf_counter() - start)
        hits = names.top_indices == photo.classes[:, None]
        ious = [mask_iou(a, t) for a, t in zip(crops_of(instances), photo.truths)]
        figures.add(f"{kind} iou", row, ious)
        figures.add(f"{kind} top1", row, hits[:, 0])
        figures.add(f"{kind} top5", row, hits.any(1))
        figures.add(f"{kind} objectness", row, instances.objectness)


def look(
    labeler: Labeler, encoding: Encoding, photo: Photograph, row: int, figures: Figures
) -> None:
    """Nothing asked: all candidates, and those that are chosen by default."""
    for kind in ("default", "all"):
        mine = Labeler(
            labeler.predictor, labeler.recognizer, all_candidates=kind == "all", chunk=labeler.chunk
        )
        start = time.perf_counter()
        instances, names = mine.label(encoding)
        figures.add(f"{kind} seconds", row, time.perf_counter() - start)
        masks = crops_of(instances)
        found, whose = outcomes(masks, photo.truths, photo.crowds)
        counted = np.array([f != "crowd" for f in found], dtype=bool)
        for name in ("thing", "double", "part", "background"):
            figures.add(f"{kind} {name}", row, np.array([f == name for f in found])[counted])
        figures.add(f"{kind} count", row, int(counted.sum()))
        figures.add(f"{kind} objectness", row, instances.objectness[counted])
        reached = np.zeros(len(photo.truths))
        reached[whose[whose >= 0]] = 1
        figures.add(f"{kind} found", row, reached)
        matched = whose >= 0
        figures.add(f"{kind} named", row, names.indices[matched] == photo.classes[whose[matched]])
        for best in (3, 5):
            things = np.array([f == "thing" for f in found])[counted][:best]
            figures.add(f"{kind} best {best}", row, things)
        for best in (10, 100):
            _, first = outcomes(masks[:best], photo.truths, photo.crowds)
            recall = np.zeros(len(photo.truths))
            recall[first[first >= 0]] = 1
            figures.add(f"{kind} recall at {best}", row, recall)
        yield_rows(figures, kind, row, photo, masks, instances.objectness, names)


def yield_rows(
    figures: Figures,
    kind: str,
    row: int,
    photo: Photograph,
    masks: list[MaskCrop],
    objectness: npt.NDArray[np.float32],
    names: Any,
) -> None:
    """COCO results and truth of one photograph, for AP."""
    size = photo.pixels.shape[:2]
    truth, results = TRUTH.setdefault(kind, []), RESULTS.setdefault(kind, [])
    for mask, label in zip(photo.truths, photo.classes.tolist()):
        truth.append(_annotation(len(truth) + 1, row, label, mask, size, crowd=0))
    for mask in photo.crowds:
        truth.append(_annotation(len(truth) + 1, row, 0, mask, size, crowd=1))
    for mask, thing, name, sure in zip(masks, objectness, names.indices, names.confidence):
        results.append(
            {
                "image_id": row,
                "category_id": int(name) + 1,
                "segmentation": mask.rle(size),
                "score": float(thing * sure),
                "objectness": float(thing),
            }
        )


TRUTH: dict[str, list[dict[str, Any]]] = {}
RESULTS: dict[str, list[dict[str, Any]]] = {}


def _annotation(
    number: int, row: int, label: int, mask: MaskCrop, size: tuple[int, ...], crowd: int
) -> dict[str, Any]:
    x1, y1, x2, y2 = mask.box
    return {
        "id": number,
        "image_id": row,
        "category_id": label + 1,
        "segmentation": mask.rle((size[0], size[1])),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": mask.area,
        "iscrowd": crowd,
        "_size": size,
    }


def precision_table(figures: Figures) -> Table:
    """What is found when nothing is asked."""
    table = Table(title="nothing asked: the default, and all candidates")
    for head in ("", "default", "all"):
        table.add_column(head, justify="left" if not head else "right")
    rows: list[tuple[str, str]] = [
        ("instances a photograph", "count"),
        ("things (precision)", "thing"),
        ("parts", "part"),
        ("doubles", "double"),
        ("background", "background"),
        ("truth found (recall)", "found"),
        ("precision of the best 5", "best 5"),
        ("precision of the best 3", "best 3"),
        ("recall of the best 10", "recall at 10"),
        ("recall of the best 100", "recall at 100"),
        ("names of what was found, top-1", "named"),
        ("seconds a photograph, encoded", "seconds"),
    ]
    for head, name in rows:
        table.add_row(head, *(figures.mean(f"{kind} {name}") for kind in ("default", "all")))
    auc = [
        f"{roc_auc_score(figures.of(f'{kind} thing'), figures.of(f'{kind} objectness')):.3f}"
        for kind in ("default", "all")
    ]
    table.add_row("AUROC of objectness", *auc)
    classes = [{"id": i + 1, "name": n} for i, n in enumerate(load_vocabulary("coco").names)]
    aps: dict[str, list[str]] = {}
    for kind in ("default", "all"):
        sizes = {a["image_id"]: a["_size"] for a in TRUTH[kind]}
        images = [{"id": i, "height": h, "width": w} for i, (h, w) in sizes.items()]
        for what in ("class-agnostic", "with names"):
            agnostic = what == "class-agnostic"
            cats = [{"id": 1, "name": "thing"}] if agnostic else classes
            truth = [{**a, "category_id": 1} if agnostic else a for a in TRUTH[kind]]
            results = [
                {**r, "category_id": 1, "score": r["objectness"]} if agnostic else r
                for r in RESULTS[kind]
            ]
            content = {"images": images, "annotations": truth, "categories": cats}
            found = average_precision(content, results)
            for key in ("AP50", "AP"):
                aps.setdefault(f"{key} {what}", []).append(f"{found[key]:.3f}")
    for head, values in aps.items():
        table.add_row(head, *values)
    return table


def calibration_table(figures: Figures) -> Table:
    """Of the answers with some objectness, how many are things."""
    table = Table(title="objectness of all candidates: said, and true")
    sure, things = figures.of("all objectness"), figures.of("all thing")
    for head in ("from", "to", "answers", "mean objectness", "things"):
        table.add_column(head, justify="right")
    for low in np.arange(0, 1, 0.1):
        inside = (sure >= low) & (sure < low + 0.1 + 1e-9 * (low > 0.85))
        if inside.any():
            said, true = sure[inside].mean(), things[inside].mean()
            table.add_row(
                f"{low:.1f}", f"{low + 0.1:.1f}", str(inside.sum()), f"{said:.2f}", f"{true:.2f}"
            )
    return table


def prompt_table(figures: Figures, title: str) -> Table:
    """Answers to boxes and centre points."""
    vocabulary = load_vocabulary("coco")
    split = np.array([category.split or "" for category in vocabulary.categories])
    area, classes = figures.of("area"), figures.of("class").astype(int)
    groups = [("all", np.ones(len(area), dtype=bool))]
    groups += [(name, (area >= low) & (area < high)) for name, low, high in SIZES]
    groups += [(name, split[classes] == name) for name in ("base", "novel")]
    table = Table(title=title)
    keys = [f"{kind} {what}" for kind in ("box", "point") for what in ("iou", "top1", "top5")]
    for head in ("", "n", *keys):
        table.add_column(head, justify="right")
    for name, chosen in groups:
        table.add_row(name, str(int(chosen.sum())), *(figures.mean(k, chosen) for k in keys))
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--everything", action="store_true", help="also with nothing asked")
    parser.add_argument("--tiles", choices=("auto", "off"), default="auto", help="of small boxes")
    parser.add_argument("--seen", help="classes the weights were trained on, such as coco/base")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto")
    args = parser.parse_args()
    sources = read_sources(parser, args.sources)
    preset = get_preset(args.preset)
    preset = replace(preset, seen=args.seen or preset.seen)
    labeler = load_labeler(
        preset,
        vocabulary="coco",
        device=args.device,
        weights=args.weights,
        precision=args.precision,
    )
    figures = Figures()
    count = 0
    for count, photo in enumerate(photographs(sources, args.part, args.limit), 1):
        start = time.perf_counter()
        encoding = encoded(labeler, photo, args.tiles == "auto")
        figures.add("encode seconds", count, time.perf_counter() - start)
        figures.add("passes", count, 1 + len(encoding.tiles))
        ask(labeler, encoding, photo, count, figures)
        if args.everything:
            look(labeler, encoded(labeler, photo, False), photo, count, figures)
    console = Console(width=190)
    things = len(figures.of("area"))
    title = f"{args.preset}: {count} photographs ({args.part}), {things} instances, 80 names"
    console.print(prompt_table(figures, title))
    if args.everything:
        console.print(precision_table(figures))
        console.print(calibration_table(figures))
    console.print(
        f"encoding {1000 * figures.of('encode seconds').mean():.0f} ms a photograph "
        f"({figures.of('passes').mean():.1f} passes), "
        f"{things / count:.1f} boxes {1000 * figures.of('box seconds').mean():.0f} ms, on "
        f"{labeler.predictor.device} in {labeler.predictor.precision}; {platform.machine()}, "
        f"{torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}, "
        f"weights {labeler.predictor.weights_hash[:12]}"
    )


if __name__ == "__main__":
    main()
