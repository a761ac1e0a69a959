"""The demo: real photographs that come with scikit-image, labelled offline by `ovsam-lite`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import fiftyone as fo
    from rich.table import Table

DATASET = "ovsam-demo"
FIELD = "ovsam"
PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
VOCABULARY = "coco"
LEAST_CONFIDENCE = 0.2
_SHOWN_NAMES = 4


def main() -> None:
    """Command line of `python -m ovsam_plugin.demo`."""
    parser = argparse.ArgumentParser(prog="python -m ovsam_plugin.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder to write")
    parser.add_argument("--vocabulary", default=VOCABULARY, help=f"default: {VOCABULARY}")
    parser.add_argument("--app", action="store_true", help="open the App instead of labelling")
    parser.add_argument("--port", type=int, default=5151, help="of the App")
    arguments = parser.parse_args()
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    warnings.simplefilter("ignore")
    if arguments.app:
        open_app(arguments.port)
    else:
        run(arguments.output, arguments.vocabulary)


def run(output: Path, vocabulary: str = VOCABULARY, names: Sequence[str] = PHOTOGRAPHS) -> Path:
    """Label the photographs, print what was found, draw the contact sheet.

    Args:
        output: folder for the contact sheet.
        vocabulary: as for `load_vocabulary`.
        names: which of the photographs.

    Returns:
        The contact sheet's path.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    with console.status("Starting FiftyOne ..."):
        import fiftyone as fo

        from ovsam_plugin.contact_sheet import save_sheet
        from ovsam_plugin.dataset.labeling import label_dataset

        # Callbacks of progress would bring FiftyOne's own bar with them.
        fo.config.show_progress_bars = False
        dataset = fo.Dataset(DATASET, persistent=True, overwrite=True)
        paths = photographs(names)
        dataset.add_samples([fo.Sample(filepath=str(path)) for path in paths])
        dataset.compute_metadata(num_workers=1)

    elapsed = [0.0]
    with console.status("Loading ovsam-lite ...") as status:

        def note(bar: Any) -> None:
            elapsed.append(bar.elapsed_time)
            status.update(f"Labelling: {bar.iteration} of {len(paths)} photographs ...")

        summary = label_dataset(
            dataset,
            preset="ovsam-lite",
            vocabulary=vocabulary,
            field=FIELD,
            min_confidence=LEAST_CONFIDENCE,
            batch_size=1,
            workers=0,
            progress=note,
        )
        status.update("Drawing the contact sheet ...")
        sheet = save_sheet(dataset, FIELD, output / "contact-sheet.png")
    console.print(_table(dataset, vocabulary, [b - a for a, b in pairwise(elapsed)]))
    console.print(
        f"{summary.instances} instances on {summary.labelled} photographs in {elapsed[-1]:.1f} s, "
        f"after {summary.seconds - elapsed[-1]:.1f} s of loading"
    )
    for reason in summary.reasons:
        console.print(f"failed: {reason}", markup=False)
    console.print(f"contact sheet: [bold]{sheet}[/bold]")
    console.print(
        f"look at dataset [bold]{DATASET}[/bold] in the App: [bold]make app[/bold] "
        f"(or: fiftyone app launch {DATASET})"
    )
    return sheet


def _table(dataset: fo.Dataset, vocabulary: str, seconds: Sequence[float]) -> Table:
    from rich.table import Table

    table = Table(title=f"everything that ovsam-lite finds, named from {vocabulary}")
    table.add_column("image")
    table.add_column("instances", justify="right")
    table.add_column("best names (confidence)")
    table.add_column("seconds", justify="right")
    for sample, time in zip(dataset, seconds, strict=True):
        labels = [] if sample[FIELD] is None else sample[FIELD].detections
        best: dict[str, float] = {}
        for label in labels:
            if label.label is not None:
                best[label.label] = max(best.get(label.label, 0.0), label.confidence)
        shown = sorted(best, key=lambda name: -best[name])[:_SHOWN_NAMES]
        names = ", ".join(f"{name} ({best[name]:.2f})" for name in shown)
        table.add_row(Path(sample.filepath).name, str(len(labels)), names, f"{time:.1f}")
    return table


def open_app(port: int) -> None:
    """Open the App on the demo's dataset until it is closed or interrupted.

    Raises:
        SystemExit: the demo has not run yet.
    """
    import fiftyone as fo

    if not fo.dataset_exists(DATASET):
        sys.exit(f"there is no dataset {DATASET!r} yet: run `make demo` first")
    session = fo.launch_app(fo.load_dataset(DATASET), port=port)
    sys.stdout.write(f"The App is at http://localhost:{port}/datasets/{DATASET} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        session.wait(-1)


def photographs(names: Sequence[str] = PHOTOGRAPHS) -> list[Path]:
    """The photographs inside the installed scikit-image; nothing is downloaded."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [folder / name for name in names]


if __name__ == "__main__":
    main()
