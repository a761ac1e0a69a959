"""Fits what a preset needs to choose by, on photographs kept for it: the numbers of presets.py.

    python benchmarks/choosing.py IMAGES ANNOTATIONS.json [IMAGES ANNOTATIONS.json ...]
        [--preset NAME] [--weights FILE]

Prints the judges of answers that were asked for (logistic regressions of whether an answer has a
mask IoU of 0.5 with a true thing) and that were not (of whether it is the surest one that has), the
least objectness and the rules of choosing with the best F1, and the fusion of the two branches with
the best names. Nothing of the photographs kept for judging is read.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.quality import Photograph, photographs, read_sources  # noqa: E402
from ovsam_plugin.evaluation.mask_iou import crops_of, mask_iou  # noqa: E402
from ovsam_plugin.evaluation.outcomes import outcomes  # noqa: E402
from ovsam_plugin.images.mask_crop import MaskCrop  # noqa: E402
from ovsam_plugin.prediction import everything  # noqa: E402
from ovsam_plugin.prediction.choosing import Rules, choose, distinct, overlaps  # noqa: E402
from ovsam_plugin.prediction.decoded import Decoded  # noqa: E402
from ovsam_plugin.prediction.judge import logit, surer_rival  # noqa: E402
from ovsam_plugin.prediction.labeler import Labeler, load_labeler  # noqa: E402
from ovsam_plugin.prediction.predictor import Encoding  # noqa: E402
from ovsam_plugin.prediction.prompts import Prompt  # noqa: E402
from ovsam_plugin.prediction.proposing import proposals_of_all_sizes  # noqa: E402

Weights: TypeAlias = tuple[npt.NDArray[np.float64], float]
EVIDENCE = ("thing", "quality", "likely", "stability")


@dataclass(frozen=True, eq=False)
class Candidates:
    """All candidates of one photograph.

    Attributes:
        photo: with its truth.
        evidence: (N, 4) logits, in the order of `EVIDENCE`.
        fits: (N,) the best IoU with a true thing.
        crowd: (N,) bool, mostly on a crowd.
        masks: (N, h, w) bool on the grid.
        crops: at the photograph's own size.
        names: (N,) places in the vocabulary.
    """

    photo: Photograph
    evidence: npt.NDArray[np.float64]
    fits: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]
    masks: Tensor
    crops: list[MaskCrop]
    names: npt.NDArray[np.int64]


def candidates(labeler: Labeler, photo: Photograph, encoding: Encoding) -> Candidates:
    """Of one photograph, before anything is left out."""
    predictor = labeler.predictor
    proposals = proposals_of_all_sizes(predictor, encoding)
    assert proposals is not None, "presets without proposals are judged by their stability"
    boxes, likely = everything._boxes_from_proposals(encoding, proposals, everything.DRAWN_FOR_ALL)
    found, asked = everything._answers(predictor, encoding, boxes, labeler.chunk)
    found = predictor.embed(encoding, found)
    evidence = torch.stack(
        [logit(v) for v in (found.thing, found.quality, likely[asked], found.stability)], 1
    )
    crops = crops_of(predictor.finish(encoding, found))
    fits = [max((mask_iou(c, t) for t in photo.truths), default=0.0) for c in crops]
    crowd = [outcomes([c], photo.truths, photo.crowds)[0] == ["crowd"] for c in crops]
    empty = np.zeros(len(crops), dtype=bool)
    names = labeler.recognizer.recognize(
        found.embeddings.head.numpy(), found.embeddings.clip.numpy(), empty
    )
    return Candidates(
        photo,
        evidence.double().numpy(),
        np.array(fits),
        np.array(crowd, dtype=bool),
        everything.on_grid(found, encoding),
        crops,
        names.indices,
    )


def fit(x: npt.NDArray[np.float64], y: npt.NDArray[np.bool_], columns: Sequence[str]) -> Weights:
    """Weights and bias of a logistic regression on some of the evidence."""
    model = LogisticRegression(C=10.0, max_iter=1000).fit(x, y)
    auc = roc_auc_score(y, model.decision_function(x))
    told = ", ".join(f"{c}={w:.3f}" for c, w in zip(columns, model.coef_[0]))
    print(f"  bias={model.intercept_[0]:.3f}, {told}   AUROC {auc:.3f} of {len(y)}")
    return model.coef_[0], float(model.intercept_[0])


def fit_found(found: list[Candidates]) -> list[npt.NDArray[np.float32]]:
    """The judge of what nobody asked for, fitted on what `find_everything` gives.

    How much surer a rival is depends on the weights, so that these are fitted until they agree.

    Returns:
        (N,) objectness of each photograph's candidates; 0 of those that are another one again.
    """
    over = [overlaps(c.masks) for c in found]
    alone = [c.evidence[:, :3].mean(1) for c in found]
    for _ in range(6):
        orders = [np.argsort(-a, kind="stable").tolist() for a in alone]
        kept = [
            [o[i] for i in distinct(every[o], everything.SAME)] for every, o in zip(over, orders)
        ]
        rivals = [
            surer_rival(torch.tensor(a[k]), every[k].iou).numpy()
            for every, a, k in zip(over, alone, kept)
        ]
        kinds = [
            np.array(outcomes([c.crops[i] for i in k], c.photo.truths, c.photo.crowds)[0])
            for c, k in zip(found, kept)
        ]
        rows = [np.c_[c.evidence[k, :3], r] for c, k, r in zip(found, kept, rivals)]
        counts = np.concatenate(kinds) != "crowd"
        x, y = np.concatenate(rows)[counts], (np.concatenate(kinds) == "thing")[counts]
        weights, bias = fit(x, y, [*EVIDENCE[:3], "rival"])
        alone = [c.evidence[:, :3] @ weights[:3] + bias for c in found]
    judged = []
    for a, k, r in zip(alone, kept, rivals):
        sure = np.zeros(len(a), dtype=np.float32)
        sure[k] = 1 / (1 + np.exp(-(a[k] + weights[3] * r)))
        judged.append(sure)
    return judged


def counted(
    found: list[Candidates], objectness: list[npt.NDArray[np.float32]], least: float, rules: Rules
) -> tuple[int, int, int, int, int]:
    """True things, answers, found things, parts and doubles of a choice."""
    truths = answers = hits = parts = doubles = 0
    for c, sure in zip(found, objectness):
        chosen = choose(c.masks, sure, c.names, least, rules)
        kinds, _ = outcomes([c.crops[i] for i in chosen], c.photo.truths, c.photo.crowds)
        truths += len(c.photo.truths)
        answers += sum(kind != "crowd" for kind in kinds)
        hits += kinds.count("thing")
        parts += kinds.count("part")
        doubles += kinds.count("double")
    return truths, answers, hits, parts, doubles


def told(figures: tuple[int, int, int, int, int], photographs: int) -> tuple[float, str]:
    """F1, and all of it in words."""
    truths, answers, hits, parts, doubles = figures
    precision, recall = hits / max(answers, 1), hits / truths
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return f1, (
        f"F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f}, "
        f"{answers / photographs:.1f} a photograph, parts and doubles "
        f"{(parts + doubles) / max(answers, 1):.3f}"
    )


def names(labeler: Labeler, embedded: list[tuple[Decoded, npt.NDArray[np.int64]]]) -> None:
    """Which fusion of the branches names true boxes best."""
    head = np.concatenate([d.embeddings.head.numpy() for d, _ in embedded])
    clip = np.concatenate([d.embeddings.clip.numpy() for d, _ in embedded])
    right = np.concatenate([classes for _, classes in embedded])
    empty = np.zeros(len(right), dtype=bool)
    for weight, scale in itertools.product((0.0, 0.1, 0.2, 0.3), (10.0, 20.0, 30.0)):
        recognizer = labeler.recognizer.at_temperature(1.0)
        recognizer.fusion = replace(recognizer.fusion, seen_weight=weight, clip_scale=scale)
        hits = recognizer.recognize(head, clip, empty).top_indices == right[:, None]
        print(
            f"  seen_weight={weight}, clip_scale={scale}: top-1 {hits[:, 0].mean():.3f}, "
            f"top-5 {hits.any(1).mean():.3f}"
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="IMAGES ANNOTATIONS")
    parser.add_argument("--preset", default="ovsam-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    sources = read_sources(parser, args.files)
    labeler = load_labeler(args.preset, vocabulary="coco", device=args.device, weights=args.weights)
    found: list[Candidates] = []
    embedded: list[tuple[Decoded, npt.NDArray[np.int64]]] = []
    for photo in photographs(sources, "choose", 0):
        (encoding,) = labeler.predictor.encode([labeler.predictor.preprocess(photo.pixels)])
        found.append(candidates(labeler, photo, encoding))
        prompts: list[Prompt] = [*photo.boxes]
        for part, decoded in labeler.predictor.decode_chunks(encoding, prompts):
            embedded.append((decoded, photo.classes[part]))
    print("found (nothing asked), until rivals and weights agree:")
    objectness = fit_found(found)
    print("asked, over those that are neither doubles nor parts:")
    kept = [
        [i for i in choose(c.masks, sure, c.names, 0.01) if not c.crowd[i]]
        for c, sure in zip(found, objectness)
    ]
    x = np.concatenate([c.evidence[k, :2] for c, k in zip(found, kept)])
    fit(x, np.concatenate([c.fits[k] >= 0.5 for c, k in zip(found, kept)]), EVIDENCE[:2])
    plain = Rules()
    print("least objectness, with the rules as they are:")
    scores = {}
    for least in np.arange(0.05, 0.5, 0.025):
        scores[least], line = told(counted(found, objectness, least, plain), len(found))
        print(f"  {least:.3f}: {line}")
    best = max(scores, key=lambda k: scores[k])
    print(f"rules, one at a time, at {best:.3f}:")
    for name, values in (
        ("double", (0.4, 0.5, 0.6, 0.7)),
        ("held", (0.6, 0.7, 0.8, 0.9)),
        ("surer", (1.0, 1.3, 1.6, 2.5, 100.0)),
        ("sure", (0.6, 0.8, 1.0, 1.3)),
        ("covered", (0.6, 0.7, 0.8, 0.9)),
    ):
        for value in values:
            rules = replace(plain, **{name: value})
            _, line = told(counted(found, objectness, best, rules), len(found))
            print(f"  {name}={value}: {line}")
    print("names of true boxes:")
    names(labeler, embedded)


if __name__ == "__main__":
    main()
