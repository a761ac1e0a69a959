"""Masks after one to five clicks, each where the last mask errs most.

    python benchmarks/clicks.py IMAGES ANNOTATIONS.json [IMAGES ANNOTATIONS.json ...]
        [--part judge|choose|train|all] [--preset NAME] [--weights FILE] [--clicks 5] [--limit N]

The clicks are simulated as interactive segmentation does (DeepCut's and f-BRS's protocol): the
first lies deepest inside the thing, every further one deepest inside the largest connected error,
on the thing where it is missing and off it where the mask has too much. "Obeyed" is the share of
all clicks so far that the mask has as they were set. Photographs are read as in quality.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.quality import (  # noqa: E402
    Figures,
    Photograph,
    add_arguments,
    photographs,
    read_sources,
)
from ovsam_plugin.dataset.annotations import deepest_point  # noqa: E402
from ovsam_plugin.prediction.predictor import Predictor, load_predictor  # noqa: E402
from ovsam_plugin.prediction.prompts import Points  # noqa: E402

Mask = npt.NDArray[np.bool_]


def largest_error(truth: Mask, mask: Mask) -> tuple[tuple[float, float], int] | None:
    """A click at the deepest place of the largest connected error; None where nothing errs."""
    best: Mask | None = None
    label = 0
    for on, error in ((1, truth & ~mask), (0, mask & ~truth)):
        parts, count = ndimage.label(error)
        if not count:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        if best is None or sizes.max() > best.sum():
            best, label = parts == int(sizes.argmax()) + 1, on
    return None if best is None else (deepest_point(best), label)


def obeyed(mask: Mask, points: Points) -> float:
    """The share of the clicks that a mask has as they were set."""
    return float(
        np.mean([mask[int(y), int(x)] == on for (x, y), on in zip(points.xy, points.labels)])
    )


def click(predictor: Predictor, photo: Photograph, row: int, clicks: int, figures: Figures) -> None:
    """Clicks on every thing of a photograph."""
    size = photo.pixels.shape[:2]
    (encoding,) = predictor.encode([predictor.preprocess(photo.pixels)])
    truths = [truth.on(size) for truth in photo.truths]
    points = [Points((deepest_point(truth),)) for truth in truths]
    for number in range(1, clicks + 1):
        answers = predictor.decode(encoding, points)
        for i, truth in enumerate(truths):
            mask = answers.full_mask(i)
            either = (mask | truth).sum()
            figures.add(f"iou {number}", row, (mask & truth).sum() / max(either, 1))
            figures.add(f"obeyed {number}", row, obeyed(mask, points[i]))
            error = largest_error(truth, mask)
            if error is not None:
                xy, on = error
                points[i] = Points((*points[i].xy, xy), (*points[i].labels, on))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--clicks", type=int, default=5)
    args = parser.parse_args()
    sources = read_sources(parser, args.sources)
    predictor = load_predictor(args.preset, weights=args.weights)
    figures = Figures()
    for row, photo in enumerate(photographs(sources, args.part, args.limit)):
        click(predictor, photo, row, args.clicks, figures)
    table = Table("clicks", "mask IoU", "clicks obeyed")
    for number in range(1, args.clicks + 1):
        table.add_row(str(number), figures.mean(f"iou {number}"), figures.mean(f"obeyed {number}"))
    Console().print(table)


if __name__ == "__main__":
    main()
