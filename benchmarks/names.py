"""What examples and decisions are worth for names, and how fast a namer of open_clip's is.

    python benchmarks/names.py IMAGES_DIR ANNOTATIONS.json [--weights FILE] [--seen coco/base]
        [--examples-part train]
    python benchmarks/names.py --speed [--instances 1000 --photographs 100]

IMAGES_DIR and ANNOTATIONS are a COCO file and its photographs, or several such pairs. Instances are
asked for by their true boxes, on the photographs that `ovsam-lite`'s training leaves out, or with
`--part` on others. Two tables, each figure the mean of 5 seeds with its 95 % interval (Student's
t):

- examples: COCO's 17 novel classes have up to N examples each, drawn anew for each seed, from one
  half of the photographs, and the other half is judged; or with `--examples-part` from other
  photographs, and all are judged. Names are asked of the 48 base and 17 novel
  classes, once with the novel classes' words and once without them. With weights whose head has
  seen base classes alone (`--weights`, `--seen coco/base`) this is a test of novel classes; with
  others their words work already, and only the second case is one.
- decisions: the first of all instances in an order of review are decided, in the suggested one and
  in that by doubt. Every
  fifth of the photographs is named by what the decisions on the others teach, and its instances
  that were not decided are judged: no decision is on a photograph that is judged.

`--speed` needs neither: a model of open_clip with random weights names instances of made
photographs, beside its own forward pass on as many pictures that lie ready in one array.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image
from pycocotools.coco import COCO
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.model_selection import KFold

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.quality import photographs, read_sources  # noqa: E402
from ovsam_plugin.dataset.embeddings import join  # noqa: E402
from ovsam_plugin.images.mask_crop import MaskCrop  # noqa: E402
from ovsam_plugin.images.reading import read_image  # noqa: E402
from ovsam_plugin.namers import Cut, Masked, NamerSpec, load_namer  # noqa: E402
from ovsam_plugin.prediction.labeler import build_recognizer  # noqa: E402
from ovsam_plugin.prediction.predictor import Predictor, load_predictor  # noqa: E402
from ovsam_plugin.presets import Preset, get_preset  # noqa: E402
from ovsam_plugin.recognition.prototypes import prototype_adapter  # noqa: E402
from ovsam_plugin.recognition.recognizer import Recognizer  # noqa: E402
from ovsam_plugin.scoring.deciding import Decisions, Prior, fit_head  # noqa: E402
from ovsam_plugin.scoring.orders import ORDERS  # noqa: E402
from ovsam_plugin.scoring.outliers import outlierness  # noqa: E402
from ovsam_plugin.scoring.priority import priority  # noqa: E402
from ovsam_plugin.vocabulary import Vocabulary, load_vocabulary  # noqa: E402

SEEDS = 5
FOLDS = 5

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Instances:
    """N instances of one vocabulary's classes.

    Attributes:
        head, clip: (N, D) float32 embeddings.
        right: (N,) places in the vocabulary.
        photograph: (N,) which photograph each lies on.
    """

    head: Floats
    clip: Floats
    right: Ints
    photograph: Ints

    def __len__(self) -> int:
        return len(self.right)

    def __getitem__(self, keep: Bools | Ints) -> Instances:
        """Some of them."""
        return Instances(self.head[keep], self.clip[keep], self.right[keep], self.photograph[keep])

    @property
    def vectors(self) -> Floats:
        """(N, 2 D) as they are kept."""
        return join(self.head, self.clip)

    def names(self, recognizer: Recognizer) -> Ints:
        """(N,) places of the best names."""
        found = recognizer.recognize(self.head, self.clip, np.zeros(len(self), bool))
        return found.indices


PARTS = {"kept-back": ("judge", "choose"), "train": ("train",), "all": ("all",)}


def looked_at(predictor: Predictor, sources: list[tuple[Path, COCO]], which: str) -> Instances:
    """Every photograph's boxes, asked once; places are those of COCO's vocabulary."""
    columns: list[tuple[Floats, Floats, Ints, Ints]] = []
    for part in PARTS[which]:
        for photo in photographs(sources, part, 0):
            (encoding,) = predictor.encode([predictor.preprocess(photo.pixels)])
            found = predictor.decode(encoding, photo.boxes)
            number = np.full(len(photo.classes), len(columns))
            columns.append((found.head_embeddings, found.clip_embeddings, photo.classes, number))
    made = Instances(*(np.concatenate(column) for column in zip(*columns)))
    return made[np.linalg.norm(made.head, axis=1) > 0]


def interval(values: list[float]) -> str:
    """The mean and its 95 % interval."""
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = error * float(stats.t.ppf(0.975, len(values) - 1))
    return f"{mean:.3f} ± {half:.3f}"


def of_splits(made: Instances, vocabulary: Vocabulary) -> tuple[Instances, Vocabulary]:
    """Instances of the base and novel classes, and these classes."""
    kept = [i for i, category in enumerate(vocabulary.categories) if category.split]
    places = np.full(len(vocabulary), -1)
    places[kept] = np.arange(len(kept))
    inside = made[places[made.right] >= 0]
    chosen = Vocabulary("base and novel", tuple(vocabulary.categories[i] for i in kept))
    return replace(inside, right=places[inside.right]), chosen


def by_example(
    preset: Preset,
    vocabulary: Vocabulary,
    shown: dict[int, Floats],
    words: bool,
) -> Recognizer:
    """Names over classes of which some have examples."""
    classes = list(vocabulary.categories)
    for place in shown:
        classes[place] = replace(classes[place], examples=("shown",), words=words)
    whole = Vocabulary("by example", tuple(classes))
    adapter = prototype_adapter(whole, shown, preset.fusion, "benchmark")
    return build_recognizer(preset, whole).adapted(adapter)


def examples_table(
    preset: Preset, made: Instances, most: int, elsewhere: Instances | None = None
) -> Table:
    """Base and novel names right, by words, by examples, and by both.

    Args:
        preset: of the embeddings.
        made: the instances.
        most: examples of a class.
        elsewhere: instances of other photographs, from which the examples are; from those of one
            half of the photographs when None.
    """
    whole, vocabulary = of_splits(made, load_vocabulary("coco"))
    novel = np.array([category.split == "novel" for category in vocabulary.categories])
    base = Vocabulary("base", tuple(c for c in vocabulary.categories if c.split == "base"))
    words, base_words = build_recognizer(preset, vocabulary), build_recognizer(preset, base)
    back = np.flatnonzero(~novel)
    rows: dict[str, tuple[list[float], list[float]]] = {}
    judged: list[int] = []

    def note(name: str, right: Bools, is_novel: Bools) -> None:
        columns = rows.setdefault(name, ([], []))
        columns[0].append(float(right[~is_novel].mean()))
        columns[1].append(float(right[is_novel].mean()))

    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        if elsewhere is None:
            every = rng.permutation(np.unique(whole.photograph))
            giving = np.isin(whole.photograph, every[: len(every) // 2])
            source, rest = whole[giving], whole[~giving]
        else:
            source, rest = of_splits(elsewhere, load_vocabulary("coco"))[0], whole
        shown: dict[int, Floats] = {}
        for place in np.flatnonzero(novel).tolist():
            some = rng.permutation(np.flatnonzero(source.right == place))[:most]
            if len(some):
                shown[place] = source[some].vectors
        rest = rest[~novel[rest.right] | np.isin(rest.right, list(shown))]
        is_novel = novel[rest.right]
        judged.append(int(is_novel.sum()))
        note("base words alone", back[rest.names(base_words)] == rest.right, is_novel)
        note("words", rest.names(words) == rest.right, is_novel)
        for read, name in ((True, f"words and {most} examples"), (False, f"{most} examples alone")):
            recognizer = by_example(preset, vocabulary, shown, read)
            note(name, rest.names(recognizer) == rest.right, is_novel)
    title = f"examples of novel classes; on average {np.mean(judged):.0f} novel instances judged"
    table = Table(title=title)
    for head in ("novel classes known by", "base right", "novel right"):
        table.add_column(head, justify="left" if head.startswith("novel c") else "right")
    for name, (of_base, of_novel) in rows.items():
        table.add_row(name, interval(of_base), interval(of_novel))
    return table


def decisions_table(preset: Preset, made: Instances, share: float) -> Table:
    """Names right before and after some were decided."""
    vocabulary = load_vocabulary("coco")
    recognizer = build_recognizer(preset, vocabulary)
    solid = np.zeros(len(made), bool)
    names = recognizer.recognize(made.head, made.clip, solid)
    scores = recognizer.log_scores(made.head, made.clip, solid)
    columns = {
        "confidence": names.confidence,
        "margin": names.margin,
        "outlier": outlierness(made.head, names.names),
    }
    doubt = ORDERS["doubt"].score(columns)
    count = round(share * len(made))
    table = Table(title=f"{count} of {len(made)} decided")
    for head in ("in the order", "right before", "right after", "gain"):
        table.add_column(head, justify="left" if head.startswith("in") else "right")
    for order, first in (("suggested", priority(doubt, made.vectors)), ("doubt", doubt)):
        decided = np.zeros(len(made), bool)
        decided[np.argsort(-np.nan_to_num(first, nan=-1.0), kind="stable")[:count]] = True
        before, after = zip(*(_right(made, scores, decided, seed) for seed in range(SEEDS)))
        gain = [b - a for a, b in zip(before, after)]
        table.add_row(order, f"{np.mean(before):.3f}", interval(list(after)), interval(gain))
    return table


def _right(made: Instances, scores: Floats, decided: Bools, seed: int) -> tuple[float, float]:
    """Share of what was not decided that has its right name before and after."""
    before, after = np.zeros(len(made), bool), np.zeros(len(made), bool)
    for teaching, judging in _folds(made, seed):
        rows = np.flatnonzero(decided & teaching)
        taught, targets = np.unique(made.right[rows], return_inverse=True)
        head = fit_head(
            Decisions(
                vectors=made[rows].vectors,
                prior=Prior.of(scores[rows], taught),
                classes=targets.astype(np.int64),
                groups=made.photograph[rows],
            )
        )
        rest = np.flatnonzero(judging & ~decided)
        moved = scores[rest, :-1].copy()
        before[rest] = moved.argmax(1) == made.right[rest]
        moved[:, taught] += made[rest].vectors @ head.T
        after[rest] = moved.argmax(1) == made.right[rest]
    return float(before[~decided].mean()), float(after[~decided].mean())


def _folds(made: Instances, seed: int) -> Iterator[tuple[Bools, Bools]]:
    every = np.unique(made.photograph)
    for teaching, judging in KFold(FOLDS, shuffle=True, random_state=seed).split(every):
        yield np.isin(made.photograph, every[teaching]), np.isin(made.photograph, every[judging])


def made_photographs(count: int, instances: int, seed: int = 0) -> list[Masked]:
    """Smooth noise of 640 x 480 pixels, with ellipses of all sizes as masks."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        coarse = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC))
        crops = []
        for _ in range(instances // count + (number < instances % count)):
            w, h = (int(v) for v in rng.integers(20, 300, 2))
            x, y = int(rng.integers(0, 640 - w)), int(rng.integers(0, 480 - h))
            rows, columns = np.mgrid[:h, :w]
            ellipse = (2 * rows / h - 1) ** 2 + (2 * columns / w - 1) ** 2 <= 1
            crops.append(MaskCrop.at(ellipse, x, y))
        found.append(Masked(pixels, crops))
    return found


def speed_table(args: argparse.Namespace) -> Table:
    """Seconds of naming, photographs read from disk and not, beside the model's own pass."""
    torch.manual_seed(0)
    model = open_clip.create_model(args.model, pretrained=None).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pt"
        torch.save(model.state_dict(), weights)
        namer = load_namer(NamerSpec.of(f"openclip:{args.model}/{weights}", [Cut(0.1, 0.5)]))
        made = made_photographs(args.photographs, args.instances)
        for number, photograph in enumerate(made):
            Image.fromarray(photograph.pixels).save(Path(folder) / f"{number}.jpg", quality=92)

        def from_disk() -> None:
            for start in range(0, len(made), 16):
                some = [
                    replace(one, pixels=read_image(Path(folder) / f"{start + i}.jpg"))
                    for i, one in enumerate(made[start : start + 16])
                ]
                namer.embed(some)

        side = model.visual.image_size
        side = side[0] if isinstance(side, tuple) else side
        pictures = torch.randn(args.instances, 3, side, side)
        model = model.to(device)
        chunk = 64 if device == "cuda" else 16

        @torch.inference_mode()
        def own_pass() -> None:
            for start in range(0, len(pictures), chunk):
                some = pictures[start : start + chunk].to(device)
                with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                    model.encode_image(some).float().cpu()

        namer.embed(made[:2])
        seconds: dict[str, list[float]] = {}
        works = {
            "the model's own pass": own_pass,
            "naming, photographs in memory": lambda: namer.embed(made),
            "naming, photographs from disk": from_disk,
        }
        for _ in range(args.repeats):  # in turn, since other work comes and goes
            for name, work in works.items():
                start = time.process_time() if args.cpu_time else time.perf_counter()
                work()
                now = time.process_time() if args.cpu_time else time.perf_counter()
                seconds.setdefault(name, []).append(now - start)
    what = "CPU seconds" if args.cpu_time else "seconds"
    asked = f"{args.instances} instances of {args.photographs} photographs"
    table = Table(title=f"{asked}, {args.model}, {device}")
    for head in ("", what, "ratio"):
        table.add_column(head, justify="right" if head else "left")
    least = min(seconds["the model's own pass"])
    for name, values in seconds.items():
        table.add_row(name, f"{min(values):.2f}", f"{min(values) / least:.2f}")
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="*", help="IMAGES_DIR ANNOTATIONS.json ...")
    parser.add_argument("--preset", default="ovsam-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seen", help="classes the weights were trained on, such as coco/base")
    parser.add_argument("--examples", type=int, default=5, help="of each novel class, at most")
    parser.add_argument("--decided", type=float, default=0.1, help="share of all instances")
    parser.add_argument(
        "--part",
        choices=PARTS,
        default="kept-back",
        help="train: to choose constants by, with weights that have not seen the novel classes; "
        "all: with weights that were not trained on any of these photographs",
    )
    parser.add_argument(
        "--examples-part", choices=PARTS, help="where examples are from; one half when not given"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--model", default="ViT-B-32", help="of open_clip, for --speed")
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--photographs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="where other work is running")
    args = parser.parse_args()
    console = Console(width=110)
    if args.speed:
        console.print(speed_table(args))
    if args.sources:
        preset = get_preset(args.preset)
        preset = replace(preset, seen=args.seen or preset.seen)
        predictor = load_predictor(preset, device=args.device, weights=args.weights)
        sources = read_sources(parser, args.sources)
        made = looked_at(predictor, sources, args.part)
        elsewhere = None
        if args.examples_part is not None:
            elsewhere = looked_at(predictor, sources, args.examples_part)
        count = len(np.unique(made.photograph))
        console.print(f"{preset.name}, {len(made)} instances of {count} photographs ({args.part})")
        console.print(examples_table(preset, made, args.examples, elsewhere))
        console.print(decisions_table(preset, made, args.decided))
    console.print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, torch {torch.__version__}, open_clip "
        f"{open_clip.__version__}"
    )


if __name__ == "__main__":
    main()
