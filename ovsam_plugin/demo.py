"""The demo: real photographs that come with scikit-image, labelled offline by `ovsam-lite`."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import fiftyone as fo
    from rich.table import Table

DATASET = "ovsam-demo"
EVERYTHING, BY_BOX, BOXES = "ovsam", "ovsam_by_box", "boxes"
# Boxes drawn by hand, (x1, y1, x2, y2) pixels; nothing says what is in them.
PHOTOGRAPHS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "astronaut.png": ((15, 5, 370, 512), (265, 300, 470, 512)),
    "camera.png": ((0, 60, 255, 512), (232, 130, 345, 512)),
    "chelsea.png": ((45, 0, 400, 300),),
    "coffee.png": ((160, 20, 415, 260), (322, 228, 412, 325)),
    "motorcycle_left.png": ((75, 70, 690, 410),),
    "rocket.jpg": ((308, 120, 345, 427),),
}
VOCABULARY = "coco"
_SHOWN_NAMES = 3


def main() -> None:
    """Command line of `python -m ovsam_plugin.demo`."""
    parser = argparse.ArgumentParser(prog="python -m ovsam_plugin.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder to write")
    parser.add_argument("--vocabulary", default=VOCABULARY, help=f"default: {VOCABULARY}")
    arguments = parser.parse_args()
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    warnings.simplefilter("ignore")
    run(arguments.output, arguments.vocabulary)


def run(
    output: Path, vocabulary: str = VOCABULARY, names: Sequence[str] = tuple(PHOTOGRAPHS)
) -> Path:
    """Label the photographs by boxes and without any, print what was found, draw both.

    Args:
        output: folder for the contact sheet.
        vocabulary: as for `load_vocabulary`.
        names: which of the photographs.

    Returns:
        The contact sheet's path.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    with console.status("Starting FiftyOne ...") as status:
        import fiftyone as fo

        from ovsam_plugin.dataset.contact_sheet import draw_sheet, tiles_of
        from ovsam_plugin.dataset.labeling import label_dataset

        # Callbacks of progress would bring FiftyOne's own bar with them.
        fo.config.show_progress_bars = False
        dataset = fo.Dataset(DATASET, persistent=True, overwrite=True)
        dataset.add_samples([_sample(path) for path in photographs(names)])
        dataset.compute_metadata(num_workers=1)
        tiles = []
        seconds: dict[str, list[float]] = {}
        for field, title, asks in ((BY_BOX, "by box", BOXES), (EVERYTHING, "everything", None)):
            status.update("Loading ovsam-lite ...")
            elapsed = [0.0]

            def note(bar: Any, elapsed: list[float] = elapsed, title: str = title) -> None:
                elapsed.append(bar.elapsed_time)
                status.update(f"Labelling {title}: {bar.iteration} of {len(names)} photographs ...")

            summary = label_dataset(
                dataset,
                preset="ovsam-lite",
                vocabulary=vocabulary,
                label_field=field,
                batch_size=1,
                workers=0,
                progress=note,
                box_field=asks,
            )
            for reason in summary.reasons:
                console.print(f"failed: {reason}", markup=False)
            seconds[field] = [b - a for a, b in pairwise(elapsed)]
            tiles += [replace(t, note=f"{title}, {t.note}") for t in tiles_of(dataset, field)]
        # Both fields over each other show neither.
        dataset.app_config.active_fields = fo.ActiveFields(paths=[EVERYTHING])
        dataset.save()
        status.update("Drawing the contact sheet ...")
        output.mkdir(parents=True, exist_ok=True)
        sheet = output / "contact-sheet.png"
        draw_sheet(tiles, columns=min(3, len(names))).save(sheet)
    console.print(_table(dataset, vocabulary, seconds))
    console.print(f"contact sheet: [bold]{sheet}[/bold]")
    console.print(
        f"look at dataset [bold]{DATASET}[/bold] in the App: [bold]make app[/bold] "
        f"(or: ovsam app open {DATASET})"
    )
    return sheet


def _sample(path: Path) -> fo.Sample:
    import fiftyone as fo
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    drawn = [
        fo.Detection(bounding_box=[x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height])
        for x1, y1, x2, y2 in PHOTOGRAPHS[path.name]
    ]
    return fo.Sample(filepath=str(path), **{BOXES: fo.Detections(detections=drawn)})


def _table(dataset: fo.Dataset, vocabulary: str, seconds: dict[str, list[float]]) -> Table:
    from rich.table import Table

    table = Table(title=f"what ovsam-lite finds, named from {vocabulary}")
    table.add_column("image")
    table.add_column("prompts")
    table.add_column("instances", justify="right")
    table.add_column("best names (confidence)")
    table.add_column("s", justify="right")
    for index, sample in enumerate(dataset):
        for field, prompts in ((BY_BOX, "boxes"), (EVERYTHING, "none")):
            labels = [] if sample[field] is None else sample[field].detections
            table.add_row(
                Path(sample.filepath).name if field == BY_BOX else "",
                prompts,
                str(len(labels)),
                _best_names(labels),
                f"{seconds[field][index]:.1f}",
                end_section=field == EVERYTHING,
            )
    return table


def _best_names(labels: Sequence[fo.Detection]) -> str:
    best: dict[str, float] = {}
    for label in labels:
        if label.label is not None:
            best[label.label] = max(best.get(label.label, 0.0), label.confidence)
    shown = sorted(best, key=lambda name: -best[name])[:_SHOWN_NAMES]
    return ", ".join(f"{name} ({best[name]:.2f})" for name in shown)


def photographs(names: Sequence[str] = tuple(PHOTOGRAPHS)) -> list[Path]:
    """The photographs inside the installed scikit-image; nothing is downloaded."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [folder / name for name in names]


if __name__ == "__main__":
    main()
