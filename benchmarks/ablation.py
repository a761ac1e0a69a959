"""The paper's ablations on annotated photographs, by box prompts.

    python benchmarks/ablation.py head IMAGES_DIR ANNOTATIONS.json [--kept-back] [--limit N]
    python benchmarks/ablation.py vocabulary IMAGES_DIR ANNOTATIONS.json [--vocabulary lvis ...]
    python benchmarks/ablation.py neck IMAGES_DIR ANNOTATIONS.json

`head` names the same masks by the trained head alone, by the frozen encoder alone, and by both.
`vocabulary` names them out of more and more classes: how often the right one is found, and what
the labelling of a photograph takes. `neck` keeps one of the encoder's four stages at the neck's
entrance and silences the others: how much these weights lean on each, which is not what a neck
trained on one stage would reach; the pyramid and the heads still see all four.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.quality import photographs  # noqa: E402
from ovsam_plugin.evaluation.mask_iou import crops_of, mask_iou  # noqa: E402
from ovsam_plugin.prediction.instances import Instances  # noqa: E402
from ovsam_plugin.prediction.labeler import build_recognizer, seen_classes, trained_names  # noqa: E402
from ovsam_plugin.prediction.predictor import Predictor, load_predictor  # noqa: E402
from ovsam_plugin.recognition.recognizer import Recognition, Recognizer  # noqa: E402
from ovsam_plugin.training.annotations import load_annotations  # noqa: E402
from ovsam_plugin.vocabulary import Vocabulary, load_vocabulary  # noqa: E402

VOCABULARIES = ("coco", "lvis", "open-22k")
STRIDES = (4, 8, 16, 32)
Rows = list[list[str]]


@dataclass(frozen=True, eq=False)
class Answered:
    """One photograph's instances, asked for by their boxes.

    Attributes:
        instances: one a box.
        names: the right names.
        ious: (N,) of the masks.
        seconds: that encoding and masks took.
    """

    instances: Instances
    names: tuple[str, ...]
    ious: npt.NDArray[np.float64]
    seconds: float


def answer(predictor: Predictor, args: argparse.Namespace) -> Iterator[Answered]:
    """Every photograph's boxes, asked once."""
    sources = [(args.images, load_annotations(args.annotations))]
    words = load_vocabulary("coco").names
    for photo in photographs(sources, "judge" if args.kept_back else "all", args.limit):
        start = time.perf_counter()
        (encoding,) = predictor.encode([predictor.preprocess(photo.pixels)])
        instances = predictor.decode(encoding, photo.boxes)
        seconds = time.perf_counter() - start
        names = tuple(words[c] for c in photo.classes)
        ious = [mask_iou(a, t) for a, t in zip(crops_of(instances), photo.truths)]
        yield Answered(instances, names, np.array(ious), seconds)


def hits(
    found: Recognition, names: tuple[str, ...], vocabulary: Vocabulary
) -> npt.NDArray[np.float64]:
    """(n, 2) whether the first, and one of the first five, is right; of names that there are."""
    right = [vocabulary.find(name) for name in names]
    known = [i for i, k in enumerate(right) if k is not None]
    same = found.top_indices[known] == np.array([right[i] for i in known]).reshape(-1, 1)
    return np.stack([same[:, 0], same.any(1)], axis=1).astype(float)


def split_of(names: tuple[str, ...], vocabulary: Vocabulary) -> npt.NDArray[np.str_]:
    """(n,) "base", "novel" or "", of names that there are."""
    found = [vocabulary.find(name) for name in names]
    return np.array([vocabulary.categories[k].split or "" for k in found if k is not None], str)


def ablate_head(predictor: Predictor, args: argparse.Namespace) -> tuple[list[str], Rows]:
    """Head alone, frozen encoder alone, both."""
    vocabulary = load_vocabulary(args.vocabulary[0])
    both = build_recognizer(predictor.preset, vocabulary)
    seen = seen_classes(vocabulary, trained_names(predictor.preset))
    branches = {"head alone": 0.0, "encoder alone": 1.0}
    recognizers = {
        name: Recognizer(
            both.classifier,
            replace(both.fusion, seen_weight=weight, unseen_weight=weight),
            seen,
            both.device,
        )
        for name, weight in branches.items()
    } | {"both": both}
    answered = list(answer(predictor, args))
    split = np.concatenate([split_of(a.names, vocabulary) for a in answered])
    rows = []
    for name, recognizer in recognizers.items():
        right = np.concatenate(
            [hits(recognizer(a.instances), a.names, vocabulary) for a in answered]
        )
        groups = (right, right[split == "base"], right[split == "novel"])
        rows.append([name, *(f"{v:.3f}" for g in groups if len(g) for v in g.mean(0))])
    heads = [
        f"{group} {what} ({len(n)})"
        for group, n in (("all", split), *((s, split[split == s]) for s in ("base", "novel")))
        if len(n)
        for what in ("top-1", "top-5")
    ]
    return [f"named by, of {len(vocabulary):,} classes", *heads], rows


def ablate_vocabulary(predictor: Predictor, args: argparse.Namespace) -> tuple[list[str], Rows]:
    """The same masks, more and more names."""
    answered = list(answer(predictor, args))
    masks = sum(a.seconds for a in answered) / len(answered)
    rows: Rows = []
    first = 0.0
    for name in args.vocabulary:
        recognizer = build_recognizer(predictor.preset, name)
        recognizer(answered[0].instances)
        right, naming = [], 0.0
        for a in answered:
            start = time.perf_counter()
            found = recognizer(a.instances)
            naming += time.perf_counter() - start
            right.append(hits(found, a.names, recognizer.vocabulary))
        total = masks + naming / len(answered)
        first = first or total
        scores = np.concatenate(right)
        rows.append(
            [
                f"{name} ({len(recognizer.vocabulary):,})",
                str(len(scores)),
                *(f"{v:.3f}" for v in scores.mean(0)),
                f"{1000 * naming / len(answered):.1f}",
                f"{1000 * total:.0f}",
                f"{total / first:.3f}",
            ]
        )
    heads = "named of|known|top-1|top-5|naming, ms|photograph, ms|times the first's"
    return heads.split("|"), rows


def ablate_neck(predictor: Predictor, args: argparse.Namespace) -> tuple[list[str], Rows]:
    """All stages, and each alone."""
    rows = []
    recognizer = build_recognizer(predictor.preset, args.vocabulary[0])
    variants = [("all", predictor)]
    variants += [(f"1/{s} alone", single_stage(predictor, i)) for i, s in enumerate(STRIDES)]
    for name, variant in variants:
        answered = list(answer(variant, args))
        ious = np.concatenate([a.ious for a in answered])
        right = [hits(recognizer(a.instances), a.names, recognizer.vocabulary) for a in answered]
        rows.append([name, f"{ious.mean():.3f}", f"{np.concatenate(right)[:, 0].mean():.3f}"])
    return ["stages into the neck", "mask IoU", "top-1"], rows


def single_stage(predictor: Predictor, stage: int) -> Predictor:
    """The same network whose neck gets nothing from the other stages."""
    network = deepcopy(predictor.network)
    for i, embed in enumerate(network.neck.patch_embeds):
        if i != stage:
            for parameter in embed.parameters():
                parameter.data.zero_()
    return Predictor(network, predictor.preset, predictor.weights_hash)


ABLATIONS = {"head": ablate_head, "vocabulary": ablate_vocabulary, "neck": ablate_neck}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ablation", choices=ABLATIONS)
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--kept-back", action="store_true")
    parser.add_argument("--limit", type=int, default=0, help="photographs; all when 0")
    parser.add_argument(
        "--vocabulary", nargs="+", help="to name from; `vocabulary` takes several, smallest first"
    )
    parser.add_argument("--preset", default="ovsam-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    args.vocabulary = args.vocabulary or (
        VOCABULARIES if args.ablation == "vocabulary" else ["coco"]
    )
    predictor = load_predictor(args.preset, device=args.device, weights=args.weights)
    heads, rows = ABLATIONS[args.ablation](predictor, args)
    table = Table(title=f"{args.preset} on {predictor.device}")
    for head in heads:
        table.add_column(head, justify="left" if head == heads[0] else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
