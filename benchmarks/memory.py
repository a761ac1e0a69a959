"""Peak memory of what grows: mask prompts on a large photograph, exports, and whole runs.

    python benchmarks/memory.py                  # 10 and 1,000 prompts, 1,000 and 100,000 instances
    python benchmarks/memory.py --instances 1000 10000 --photographs 100

Each figure is of a fresh process: the most that it holds, less what it held before it began; of
labelling photographs, all that it holds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.speed import _peak_rss  # noqa: E402

SIZE = (3000, 4000)
"""(height, width) of the photograph."""
_SIDE = 60
_LABELS_A_SAMPLE = 20
_SAMPLES_AT_ONCE = 200


def name_masks(count: str) -> None:
    """Names so many masks of one 12-megapixel photograph."""
    import cv2
    import fiftyone as fo
    from skimage import data

    from ovsam_plugin.dataset.fields import to_detections
    from ovsam_plugin.dataset.sample_prompts import read_prompts
    from ovsam_plugin.prediction.labeler import load_labeler

    labeler = load_labeler("ovsam-lite", vocabulary="coco", device="cpu")
    frame = labeler.predictor.preprocess(cv2.resize(data.chelsea(), SIZE[::-1]))
    (encoding,) = labeler.predictor.encode([frame])
    before = _peak_rss()
    mask, (height, width) = np.ones((_SIDE, _SIDE), dtype=bool), SIZE
    corners = np.random.default_rng(0).random((int(count), 2)) * 0.95
    labels = [
        fo.Detection(bounding_box=[x, y, _SIDE / width, _SIDE / height], mask=mask)
        for x, y in corners.tolist()
    ]
    asked = read_prompts({"mask_prompt_field": fo.Detections(detections=labels)}, SIZE)
    found = to_detections(*labeler.label(encoding, asked.prompts))
    assert len(found.detections) == int(count)
    tell(before)


def label_photographs(name: str) -> None:
    """Labels a dataset by its boxes."""
    import fiftyone as fo

    from ovsam_plugin import label_dataset

    dataset = fo.load_dataset(name)
    label_dataset(dataset, vocabulary="coco", box_field="asks", device="cpu", progress=False)
    tell(0.0)


def export_rows(name: str) -> None:
    """Writes a dataset's labels as COCO results."""
    import fiftyone as fo

    from ovsam_plugin.dataset.export import field_rows, write_rows

    dataset = fo.load_dataset(name)
    before = _peak_rss()
    with tempfile.TemporaryDirectory() as folder:
        write_rows(field_rows(dataset, "ovsam"), Path(folder) / "rows.json")
    tell(before)


def export_clean(name: str) -> None:
    """Writes a dataset's reviewed labels as a COCO annotation file."""
    import fiftyone as fo

    from ovsam_plugin.curation import clean_export

    dataset = fo.load_dataset(name)
    before = _peak_rss()
    with tempfile.TemporaryDirectory() as folder:
        clean_export.export_clean(dataset, "ovsam", Path(folder) / "clean.json")
    tell(before)


def tell(before: float) -> None:
    """Prints what this process has taken since, in GB."""
    sys.stdout.write(f"{_peak_rss() - before:.3f}\n")


WORK: dict[str, Callable[[str], None]] = {
    "mask prompts": name_masks,
    "labelling": label_photographs,
    "export": export_rows,
    "clean export": export_clean,
}


def peak(work: str, of: int | str) -> float:
    """GB that a fresh process takes at the most.

    Args:
        work: a key of WORK.
        of: how many prompts; or the name of a persistent dataset.

    Raises:
        CalledProcessError: the process failed.
    """
    command = [sys.executable, __file__, "--work", work, "--of", str(of)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    return float(done.stdout.split()[-1])


def make_dataset(instances: int) -> str:
    """A persistent dataset of accepted labels on photographs that are not there; its name."""
    import fiftyone as fo

    dataset = fo.Dataset(persistent=True)
    mask = np.zeros((200, 200), dtype=bool)
    mask[20:180, 30:170] = True
    photographs = -(-instances // _LABELS_A_SAMPLE)
    for start in range(0, photographs, _SAMPLES_AT_ONCE):
        samples = []
        for i in range(start, min(start + _SAMPLES_AT_ONCE, photographs)):
            labels = [
                fo.Detection(
                    label="cat",
                    confidence=0.9,
                    bounding_box=[0.1, 0.1, 200 / 640, 200 / 480],
                    mask=mask,
                    review="accepted",
                )
                for _ in range(min(_LABELS_A_SAMPLE, instances - i * _LABELS_A_SAMPLE))
            ]
            metadata = fo.ImageMetadata(width=640, height=480)
            sample = fo.Sample(filepath=f"/nowhere/{i:06d}.jpg", metadata=metadata)
            sample["ovsam"] = fo.Detections(detections=labels)
            samples.append(sample)
        dataset.add_samples(samples, dynamic=True, progress=False)
    return str(dataset.name)


def make_photographs(count: int) -> str:
    """A persistent dataset of photographs with a box each; its name."""
    import fiftyone as fo
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    paths = [str(folder / name) for name in ("chelsea.png", "coffee.png", "astronaut.png")]
    dataset = fo.Dataset(persistent=True)
    box = {"label": "x", "bounding_box": [0.2, 0.1, 0.6, 0.8]}
    dataset.add_samples(
        (
            fo.Sample(paths[i % 3], asks=fo.Detections(detections=[fo.Detection(**box)]))
            for i in range(count)
        ),
        progress=False,
    )
    return str(dataset.name)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, nargs="*", default=[10, 1000])
    parser.add_argument("--instances", type=int, nargs="*", default=[1000, 100_000])
    parser.add_argument("--photographs", type=int, nargs="*", default=[100, 2000])
    parser.add_argument("--work", choices=WORK, help="only print the GB that one step takes")
    parser.add_argument("--of", help="prompts, or a dataset's name")
    args = parser.parse_args()
    if args.work:
        WORK[args.work](args.of)
        return
    import fiftyone as fo

    for count in args.photographs:
        name = make_photographs(count)
        try:
            sys.stdout.write(f"labelling {count:,} photographs: {peak('labelling', name):.3f} GB\n")
        finally:
            fo.delete_dataset(name)
    for count in args.prompts:
        taken = peak("mask prompts", count)
        sys.stdout.write(f"{count:,} mask prompts on 12 megapixels: {taken:.3f} GB\n")
    for count in args.instances:
        name = make_dataset(count)
        try:
            for work in ("export", "clean export"):
                sys.stdout.write(f"{work} of {count:,} instances: {peak(work, name):.3f} GB\n")
        finally:
            fo.delete_dataset(name)


if __name__ == "__main__":
    main()
