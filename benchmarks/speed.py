"""How long a photograph takes, how much memory many prompts take, beside SAM ViT-B.

    python benchmarks/speed.py [--presets ovsam-lite ...] [--prompts 10] [--repeats 5]

SAM ViT-B is what a user would prompt with boxes instead (masks without names). Published weights
are not needed: speed does not depend on them, so networks without weights on this machine are
measured with random ones, and say so. Runs of the two are taken in turn, so that a machine whose
speed drifts does not favour one. Memory is the peak of a fresh process.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.network.ovsam import OVSAM  # noqa: E402
from ovsam_plugin.prediction.labeler import Labeler, load_labeler  # noqa: E402
from ovsam_plugin.prediction.predictor import Predictor  # noqa: E402
from ovsam_plugin.prediction.prompts import Box  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402

HEIGHT, WIDTH = 480, 640


def photograph() -> npt.NDArray[np.uint8]:
    """640 x 480 pixels of noise; what is on it changes no time."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def boxes(count: int) -> list[Box]:
    """Boxes of many sizes, all on the photograph."""
    corners = np.random.default_rng(1).random((count, 2, 2)) * (WIDTH - 2, HEIGHT - 2)
    low, high = corners.min(1), corners.max(1) + 2
    return [Box((*a, *b)) for a, b in zip(low.tolist(), high.tolist())]


def load(preset: str) -> tuple[Labeler, str]:
    """A labeler, with random weights where its own are not on this machine."""
    try:
        return load_labeler(preset, vocabulary="coco", device="cpu"), ""
    except FileNotFoundError:
        torch.manual_seed(0)
        chosen = get_preset(preset)
        predictor = Predictor(OVSAM(chosen.network), chosen, "random")
        # Names cost the same for any vocabulary of 80 rows; the text tower may be missing too.
        lite = load_labeler("ovsam-lite", vocabulary="coco", device="cpu")
        return Labeler(predictor, lite.recognizer), " (random weights)"


def ours(preset: str, prompts: int) -> tuple[str, Callable[[], object]]:
    """Preprocess, encode, decode, upsample; names too where the text embeddings fit."""
    labeler, note = load(preset)
    image, asked = photograph(), boxes(prompts)

    def run() -> object:
        if not note:
            return labeler.label_image(image, asked)
        (encoding,) = labeler.predictor.encode([labeler.predictor.preprocess(image)])
        return labeler.predictor.decode(encoding, asked)

    return preset + note, run


def sam(prompts: int) -> tuple[str, Callable[[], object]]:
    """segment_anything's predictor, boxes at once, masks at the photograph's own size."""
    from segment_anything import SamPredictor, sam_model_registry

    torch.manual_seed(0)
    predictor = SamPredictor(sam_model_registry["vit_b"]().eval())
    image = photograph()
    corners = torch.tensor([box.xyxy for box in boxes(prompts)])

    def run() -> object:
        predictor.set_image(image)
        asked = predictor.transform.apply_boxes_torch(corners, (HEIGHT, WIDTH))
        return predictor.predict_torch(None, None, boxes=asked, multimask_output=False)

    return "SAM ViT-B (random weights)", run


def measure(preset: str, prompts: int, repeats: int, console: Console) -> None:
    """Both in turn, medians and their ratio."""
    entries = [ours(preset, prompts), sam(prompts)]
    times: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):
        for spent, (_, run) in zip(times, entries):
            start = time.perf_counter()
            run()
            if repeat:
                spent.append(time.perf_counter() - start)
    table = Table(title=f"one {WIDTH} x {HEIGHT} photograph, {prompts} boxes, whole way")
    for head in ("model", "median s", "min s", "max s", "ratio to SAM ViT-B"):
        table.add_column(head, justify="left" if head == "model" else "right")
    peer = times[1]
    for spent, (name, _) in zip(times, entries):
        ratio = statistics.median(a / b for a, b in zip(spent, peer))
        figures = (statistics.median(spent), min(spent), max(spent))
        table.add_row(name, *(f"{value:.3f}" for value in figures), f"{ratio:.3f}")
    console.print(table)


def _peak_rss() -> float:
    """GB at the most that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # a process started by a large one inherits its ru_maxrss, not its VmHWM
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def peak_memory(preset: str, prompts: int) -> float:
    """GB at the most, of a fresh process that answers so many boxes of one photograph.

    Raises:
        CalledProcessError: the process failed.
    """
    command = [sys.executable, __file__, "--presets", preset, "--peak", str(prompts)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=["ovsam-lite"])
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", type=int, metavar="N", help="only print the GB that N boxes take")
    args = parser.parse_args()
    if args.peak:
        ours(args.presets[0], args.peak)[1]()
        sys.stdout.write(f"{_peak_rss():.3f}\n")
        return
    console = Console(width=110)
    console.print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    for preset in args.presets:
        measure(preset, args.prompts, args.repeats, console)
        few, many = peak_memory(preset, 10), peak_memory(preset, 1000)
        console.print(f"{preset}: peak memory {few:.2f} GB with 10 boxes, {many:.2f} GB with 1,000")


if __name__ == "__main__":
    main()
