"""What the scores for curation are worth on annotated photographs, by their true boxes.

    python benchmarks/curation.py IMAGES_DIR ANNOTATIONS.json [--kept-back] [--weights FILE]

ANNOTATIONS is a COCO file. Three tables:

- how many wrong names each order of review finds in the first fifth of the queue;
- how well `unknown` finds instances of classes that were left out of the vocabulary (COCO's novel
  ones, then as many drawn at random), and, of as many as there are of those, how many get a group
  and are of the kind that is most frequent in it;
- how well mistakes that were put into the ground truth are found again.

`--kept-back` takes only the photographs that `ovsam-lite`'s training leaves out; on the others its
names are better than they would be anywhere else. A class left out of the vocabulary may still have
been trained on, which flatters the second table: the last line says what the head was trained on.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy
import sklearn
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.quality import photographs  # noqa: E402
from ovsam_plugin.curation.review_learning import LEARNING, RECENT  # noqa: E402
from ovsam_plugin.curation.review_queue import PAGE  # noqa: E402
from ovsam_plugin.dataset.embeddings import join  # noqa: E402
from ovsam_plugin.evaluation.mask_iou import crops_of, mask_iou  # noqa: E402
from ovsam_plugin.prediction.labeler import build_recognizer  # noqa: E402
from ovsam_plugin.prediction.predictor import Predictor, load_predictor  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.recognition.recognizer import Recognition  # noqa: E402
from ovsam_plugin.recognition.synonyms import Synonyms  # noqa: E402
from ovsam_plugin.scoring.arrays import unit_rows  # noqa: E402
from ovsam_plugin.scoring.label_errors import Matched, mistake_scores  # noqa: E402
from ovsam_plugin.scoring.learning import Lessons, learned_doubt  # noqa: E402
from ovsam_plugin.scoring.orders import ORDERS  # noqa: E402
from ovsam_plugin.scoring.outliers import outlierness  # noqa: E402
from ovsam_plugin.scoring.priority import priority, shares  # noqa: E402
from ovsam_plugin.scoring.unknown import best_logit, group_unknown, unknownness  # noqa: E402
from ovsam_plugin.training.annotations import load_annotations  # noqa: E402
from ovsam_plugin.vocabulary import Vocabulary, load_vocabulary  # noqa: E402
from ovsam_plugin.vocabulary.classifier import build_classifier  # noqa: E402

FIFTH = 0.2
SHUFFLES = 1000
DRAWS = 5
FLIPPED = 0.05
ROUNDS = 5  # of flipping, averaged

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answered:
    """N instances, asked for by their true boxes.

    Attributes:
        head, clip: (N, D) float32 embeddings.
        empty: (N,) bool, masks without a pixel.
        stability, iou: (N,) of the masks.
        right: (N,) int64, places in COCO's vocabulary.
        photographs: how many there are.
    """

    head: npt.NDArray[np.float32]
    clip: npt.NDArray[np.float32]
    empty: Bools
    stability: npt.NDArray[np.float32]
    iou: Floats
    right: npt.NDArray[np.int64]
    photographs: int


def answer(predictor: Predictor, args: argparse.Namespace) -> Answered:
    """Every photograph's boxes, asked once."""
    sources = [(args.images, load_annotations(args.annotations))]
    columns = []
    for photo in photographs(sources, "judge" if args.kept_back else "all", 0):
        (encoding,) = predictor.encode([predictor.preprocess(photo.pixels)])
        found = predictor.decode(encoding, photo.boxes)
        columns.append(
            (
                found.head_embeddings,
                found.clip_embeddings,
                found.empty,
                found.stability,
                np.array([mask_iou(a, t) for a, t in zip(crops_of(found), photo.truths)]),
                photo.classes,
            )
        )
    return Answered(*(np.concatenate(c) for c in zip(*columns)), photographs=len(columns))


def recognize(predictor: Predictor, answered: Answered, vocabulary: Vocabulary) -> Recognition:
    """Names out of a vocabulary."""
    recognizer = build_recognizer(predictor.preset, vocabulary, predictor.device)
    return recognizer.recognize(answered.head, answered.clip, answered.empty)


def fit(predictor: Predictor, answered: Answered, vocabulary: Vocabulary) -> Floats:
    """`best_logit` of every instance over a vocabulary."""
    preset = predictor.preset
    classifier = build_classifier(vocabulary, preset.text_tower, preset.templates, device="cpu")
    names = Synonyms(torch.from_numpy(classifier.embeddings), torch.from_numpy(classifier.owner))
    cosines = [names.nearest(torch.from_numpy(e)).numpy() for e in (answered.head, answered.clip)]
    return best_logit(
        *cosines,
        weight=preset.fusion.seen_weight,
        head_scale=preset.fusion.head_scale,
        clip_scale=preset.fusion.clip_scale,
    )


def share_found(order: npt.NDArray[np.int64], wanted: Bools) -> float:
    """Share of the wanted ones that lie in the first fifth of an order."""
    return float(wanted[order[: round(FIFTH * len(order))]].sum() / wanted.sum())


def review_table(answered: Answered, names: Recognition, title: str, seed: int) -> Table:
    """Wrong names in the first fifth of each order of review."""
    wrong = names.indices != answered.right
    columns = {
        "confidence": names.confidence,
        "margin": names.margin,
        "head_score": names.head_score,
        "clip_score": names.clip_score,
        "stability": answered.stability,
        "outlier": outlierness(answered.head, names.names),
    }
    doubt = ORDERS["doubt"].score(columns)
    columns["priority"] = priority(doubt, join(answered.head, answered.clip))
    rng = np.random.default_rng(seed)
    luck = np.mean([share_found(rng.permutation(len(wrong)), wrong) for _ in range(SHUFFLES)])
    best = share_found(np.argsort(~wrong, kind="stable"), wrong)
    table = Table(title=f"{title}: {wrong.sum()} of {len(wrong)} names wrong")
    for head in ("order", "found in the first fifth", "times random", "AUROC"):
        table.add_column(head, justify="left" if head == "order" else "right")
    table.add_row("random", f"{luck:.3f}", "1.00", "0.500")
    for order in (each for each in ORDERS.values() if columns.keys() >= set(each.needs)):
        # What has no score goes last.
        score = np.nan_to_num(order.score(columns), nan=-1.0)
        found = share_found(np.argsort(-score, kind="stable"), wrong)
        auroc = roc_auc_score(wrong, score)
        table.add_row(order.name, f"{found:.3f}", f"{found / luck:.2f}", f"{auroc:.3f}")
        if order.name == LEARNING:
            learned = learning_order(doubt, score, names.names, answered.head, wrong)
            found = share_found(learned, wrong)
            table.add_row(f"{order.name}, learning", f"{found:.3f}", f"{found / luck:.2f}", "")
    table.add_row("knowing which", f"{best:.3f}", f"{best / luck:.2f}", "1.000")
    return table


def learning_order(
    doubt: Floats,
    first: Floats,
    names: Sequence[str],
    embeddings: npt.NDArray[np.float32],
    wrong: Bools,
) -> npt.NDArray[np.int64]:
    """The order of a review whose person knows what is wrong, its first fifth learned.

    As `review_session` has it: of a page of those that come first, the one by what is learned up to
    then; another page when half of one is left.
    """
    queue = np.argsort(-first, kind="stable").tolist()
    counts = shares(first, doubt)
    decided: list[int] = []
    waiting: list[int] = []
    while len(decided) < round(FIFTH * len(doubt)):
        if len(waiting) <= PAGE // 2:
            waiting = [i for i in queue if i not in decided][:PAGE]
        some = decided[-RECENT:]
        lessons = Lessons(doubt[some], [names[i] for i in some], embeddings[some], wrong[some])
        now = learned_doubt(
            doubt[waiting], [names[i] for i in waiting], embeddings[waiting], lessons
        )
        decided.append(waiting.pop(int(np.argmax(counts[waiting] * now))))
    return np.array(decided + [i for i in queue if i not in decided])


def held_out(vocabulary: Vocabulary, seed: int) -> Iterator[tuple[str, Bools]]:
    """Which classes are left out, by a name for each choice."""
    novel = np.array([category.split == "novel" for category in vocabulary.categories])
    yield "novel", novel
    rng = np.random.default_rng(seed)
    for draw in range(DRAWS):
        chosen = np.zeros(len(novel), dtype=bool)
        chosen[rng.choice(len(novel), int(novel.sum()), replace=False)] = True
        yield f"drawn {draw + 1}", chosen


def unknown_table(
    predictor: Predictor, answered: Answered, vocabulary: Vocabulary, reference: str, seed: int
) -> Table:
    """AUROC of instances whose class was left out, and what grouping them gives."""
    table = Table(title=f"classes left out of the vocabulary; reference {reference}")
    heads = ("left out", "n", "AUROC, no reference", "AUROC", "groups", "grouped", "of their kind")
    for head in heads:
        table.add_column(head, justify="left" if head == "left out" else "right")
    elsewhere = fit(predictor, answered, load_vocabulary(reference))
    sides = np.concatenate([unit_rows(answered.head), unit_rows(answered.clip)], axis=1)
    for name, out in held_out(vocabulary, seed):
        rest = Vocabulary(
            "rest", tuple(c for c, gone in zip(vocabulary.categories, out) if not gone)
        )
        found = recognize(predictor, answered, rest)
        unknown = out[answered.right]
        plain = unknownness(found.confidence)
        scores = unknownness(found.confidence, fit(predictor, answered, rest), elsewhere)
        # As many as there are, so that the groups hold what the score gets wrong, too.
        first = np.zeros(len(scores), dtype=bool)
        first[np.argsort(-scores, kind="stable")[: unknown.sum()]] = True
        groups = group_unknown(sides, first)
        grouped = groups > 0
        alike = sum(
            np.bincount(answered.right[groups == g]).max() for g in range(1, groups.max() + 1)
        )
        table.add_row(
            name,
            str(int(unknown.sum())),
            f"{roc_auc_score(unknown, plain):.3f}",
            f"{roc_auc_score(unknown, scores):.3f}",
            str(int(groups.max())),
            f"{grouped.sum() / first.sum():.2f}",
            f"{alike / max(grouped.sum(), 1):.2f}",
        )
    return table


def mistake_table(
    answered: Answered, names: Recognition, vocabulary: Vocabulary, seed: int
) -> Table:
    """How well names of the ground truth that were made wrong are found."""
    table = Table(title=f"{FLIPPED:.0%} of the true names made wrong, mean of {ROUNDS} rounds")
    for head in ("the wrong name is drawn", "average precision", "by chance"):
        table.add_column(head, justify="right")
    counts = np.bincount(answered.right, minlength=len(vocabulary)).astype(float)
    rng = np.random.default_rng(seed)
    for how, weights in (("evenly", np.ones(len(vocabulary))), ("by frequency", counts)):
        figures, chance = [], []
        for _ in range(ROUNDS):
            flipped = rng.random(len(answered.right)) < FLIPPED
            given = answered.right.copy()
            for i in np.flatnonzero(flipped):
                others = np.where(np.arange(len(weights)) == given[i], 0, weights)
                given[i] = rng.choice(len(weights), p=others / others.sum())
            hits = names.top_indices == given[:, None]
            pairs = Matched(
                truth=[vocabulary.names[i] for i in given],
                predicted=names.names,
                iou=answered.iou,
                confidence=names.confidence,
                truth_score=np.where(hits, names.top_scores, 0).sum(axis=1),
            )
            figures.append(average_precision_score(flipped, mistake_scores(pairs)))
            chance.append(flipped.mean())
        table.add_row(how, f"{np.mean(figures):.3f}", f"{np.mean(chance):.3f}")
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--kept-back", action="store_true")
    parser.add_argument("--preset", default="ovsam-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seen", help="classes the weights were trained on, such as coco/base")
    parser.add_argument("--reference", default="imagenet-1k", help="words of everything else")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()

    preset = get_preset(args.preset)
    preset = replace(preset, seen=args.seen or preset.seen)
    predictor = load_predictor(preset, device=args.device, weights=args.weights)
    vocabulary = load_vocabulary("coco")
    answered = answer(predictor, args)
    names = recognize(predictor, answered, vocabulary)

    console = Console(width=110)
    which = "kept-back photographs" if args.kept_back else "photographs"
    title = f"{preset.name}, {answered.photographs} {which}"
    console.print(review_table(answered, names, title, args.seed))
    console.print(unknown_table(predictor, answered, vocabulary, args.reference, args.seed))
    console.print(mistake_table(answered, names, vocabulary, args.seed))
    console.print(
        f"{platform.machine()}, {torch.get_num_threads()} threads on {predictor.device}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
    )
    console.print(
        f"weights {predictor.weights_hash[:12]}, head trained on {preset.seen}, seed {args.seed}"
    )


if __name__ == "__main__":
    main()
