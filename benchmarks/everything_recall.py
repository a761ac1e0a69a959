"""Whether looking everywhere finds what segment_anything's generator finds with the same network.

    python benchmarks/everything_recall.py IMAGES ANNOTATIONS.json [IMAGES ANNOTATIONS.json ...]
        [--part judge|choose|train|all] [--preset NAME] [--weights FILE] [--points 32] [--limit N]

Both ask one network the same lattice of points; `find_everything` asks again by boxes what they
found, the generator (`SamAutomaticMaskGenerator`, its thresholds off, for they are of SAM's own
scores) keeps the answers themselves. "Recall" is the share of the things in the ground truth that
one of the best 100 answers of each has at a mask IoU of 0.5. Photographs are read as in quality.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.quality import Figures, add_arguments, photographs, read_sources  # noqa: E402
from ovsam_plugin.prediction.everything import find_everything  # noqa: E402
from ovsam_plugin.prediction.predictor import Encoding, Predictor, load_predictor  # noqa: E402
from ovsam_plugin.prediction.prompts import Grid, Points  # noqa: E402

# Answers a photograph: `find_everything` gives no more.
BEST = 100


class Answering:
    """A network of ours in the place of the generator's `SamPredictor`."""

    def __init__(self, predictor: Predictor) -> None:
        self._ours = predictor
        self._encoding: Encoding | None = None
        self.device = predictor.device
        self.model = SimpleNamespace(mask_threshold=0.0)
        self.transform = SimpleNamespace(apply_coords=lambda points, size: points)

    def set_image(self, image: np.ndarray[Any, Any]) -> None:
        (self._encoding,) = self._ours.encode([self._ours.preprocess(image)])

    def reset_image(self) -> None:
        self._encoding = None

    def predict_torch(
        self, points: torch.Tensor, labels: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """(B, 1, 2) points -> (B, 1, H, W) masks with their scores; one answer a point."""
        encoding = self._encoding
        assert encoding is not None
        asked = [Points(((float(x), float(y)),)) for x, y in points[:, 0]]
        masks = torch.zeros(len(asked), 1, *encoding.frame.size)
        scores = torch.zeros(len(asked), 1)
        for rows, found in self._ours.decode_chunks(encoding, asked, len(asked), embed=False):
            masks[rows, 0] = found.on_grid(encoding.frame.size, 1).float().cpu()
            scores[rows, 0] = found.quality.float().cpu()
        return masks, scores, None


def found_share(truths: list[np.ndarray[Any, Any]], masks: torch.Tensor) -> list[bool]:
    """Of each truth, whether one of the masks, (N, h, w) bool, has it at an IoU of 0.5."""
    flat = masks.flatten(1).float()
    shares = []
    for truth in truths:
        one = torch.from_numpy(truth).flatten().float()
        both = flat @ one
        iou = both / (flat.sum(1) + one.sum() - both).clamp(min=1)
        shares.append(bool((iou >= 0.5).any()))
    return shares


@torch.inference_mode()
def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--points", type=int, default=32)
    args = parser.parse_args()
    sources = read_sources(parser, args.sources)
    predictor = load_predictor(args.preset, weights=args.weights)
    sam = sam_model_registry["vit_b"]()
    generator = SamAutomaticMaskGenerator(
        sam, points_per_side=args.points, pred_iou_thresh=-9.0, stability_score_thresh=-1.0
    )
    generator.predictor = Answering(predictor)
    figures, seconds = Figures(), {"ours": 0.0, "theirs": 0.0}
    for row, photo in enumerate(photographs(sources, args.part, args.limit)):
        height, width = predictor.preprocess(photo.pixels).size
        image = cv2.resize(photo.pixels, (width, height))
        truths = [truth.on((height, width)) for truth in photo.truths]
        clock = time.perf_counter()
        (encoding,) = predictor.encode([predictor.preprocess(image)])
        found, _ = find_everything(predictor, encoding, Grid(args.points))
        seconds["ours"] += time.perf_counter() - clock
        clock = time.perf_counter()
        given = generator.generate(image)
        seconds["theirs"] += time.perf_counter() - clock
        given.sort(key=lambda answer: -answer["predicted_iou"])
        theirs = np.stack([answer["segmentation"] for answer in given[:BEST]])
        for name, masks in (
            ("ours", found.on_grid((height, width), 1)),
            ("theirs", torch.from_numpy(theirs)),
        ):
            for hit in found_share(truths, masks):
                figures.add(name, row, float(hit))
    table = Table("who looks", "recall", "seconds in all")
    for name, title in (("ours", "find_everything"), ("theirs", "SamAutomaticMaskGenerator")):
        table.add_row(title, figures.mean(name), f"{seconds[name]:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
