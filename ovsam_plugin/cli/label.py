"""`ovsam label`: a folder of images or a dataset in, labels and files out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovsam_plugin.cli.failure import UsageError, one_message, usage

if TYPE_CHECKING:
    import fiftyone as fo
    from rich.console import Console

    from ovsam_plugin.dataset.importing import AttachedPrompts
    from ovsam_plugin.dataset.labeling import LabelSummary
    from ovsam_plugin.vocabulary.vocabulary import Vocabulary

_SHOWN = 5
_ASKING = "What to label (one of these; everything when none is given)"
_WORK = "How to work"


def label(
    target: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES_DIR_or_DATASET",
            help="A folder of images, which becomes a persistent dataset, or a dataset's name.",
            show_default=False,
        ),
    ],
    preset: Annotated[str, typer.Option(help="The model.")] = "ovsam-lite",
    vocabulary: Annotated[
        str,
        typer.Option(
            help="coco, lvis, imagenet-1k, imagenet-21k, open-22k, a .txt/.csv/.json or annotation "
            'file, names such as "cat, dog, fire hydrant", or dataset:FIELD.'
        ),
    ] = "lvis",
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="GT.json",
            help="The boxes of a COCO or LVIS annotation file.",
            rich_help_panel=_ASKING,
        ),
    ] = None,
    center_points: Annotated[
        Path | None,
        typer.Option(
            metavar="GT.json",
            help="The point deepest inside each mask of a COCO or LVIS annotation file.",
            rich_help_panel=_ASKING,
        ),
    ] = None,
    box_field: Annotated[
        str | None,
        typer.Option(metavar="F", help="Boxes of a field.", rich_help_panel=_ASKING),
    ] = None,
    point_field: Annotated[
        str | None,
        typer.Option(metavar="F", help="Keypoints of a field.", rich_help_panel=_ASKING),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All there is.", rich_help_panel=_ASKING)
    ] = False,
    find: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help='What fits words such as "a red bus".', rich_help_panel=_ASKING
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave out labels below it.", show_default=False),
    ] = None,
    field: Annotated[str, typer.Option(help="The label field to write.")] = "ovsam",
    export: Annotated[
        Path | None,
        typer.Option(metavar="preds.json", help="Also write the labels as COCO results."),
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(metavar="sheet.png", help="Also draw the first images with their labels."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_WORK)
    ] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images a pass.", rich_help_panel=_WORK)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that load images.", rich_help_panel=_WORK)
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Label again what has labels already.", rich_help_panel=_WORK
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where an error came from.", rich_help_panel=_WORK),
    ] = False,
) -> None:
    """Label a folder of images or a FiftyOne dataset: a mask, a name and scores an instance.

    Run it again to go on where it stopped; new images in the folder are added.
    """
    job = _Job(
        target=target,
        preset=preset,
        vocabulary=vocabulary,
        boxes=boxes,
        center_points=center_points,
        box_field=box_field,
        point_field=point_field,
        everything=everything,
        find=find,
        field=field,
        export=export,
        contact_sheet=contact_sheet,
        work={
            "min_confidence": min_confidence,
            "device": device,
            "batch_size": batch_size,
            "workers": workers,
            "overwrite": overwrite,
        },
    )
    with one_message(debug):
        from rich.console import Console

        job.run(Console(highlight=False, soft_wrap=True))


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One call of the command, as its options say."""

    target: str
    preset: str
    vocabulary: str
    boxes: Path | None
    center_points: Path | None
    box_field: str | None
    point_field: str | None
    everything: bool
    find: str | None
    field: str
    export: Path | None
    contact_sheet: Path | None
    work: dict[str, Any]

    def run(self, console: Console) -> None:
        self._check_options()
        vocabulary = self._vocabulary()
        annotations = self._annotations()

        from ovsam_plugin.dataset.importing import attach_prompts
        from ovsam_plugin.dataset.labeling import label_dataset

        dataset, folder = self._dataset()
        console.print(f"dataset [bold]{dataset.name}[/bold]: {len(dataset)} images")
        asked = None
        samples: fo.SampleCollection = dataset
        fields: dict[str, Any] = {"box_field": self.box_field, "point_field": self.point_field}
        if annotations is not None:
            asked = attach_prompts(dataset, annotations, label_field=self.field, missing_in=folder)
            samples = asked.view(dataset)
            fields["box_field" if annotations.source == "box" else "point_field"] = asked.field
            _tell_of_prompts(console, asked)
        with usage():
            summary = label_dataset(
                samples,
                preset=self.preset,
                vocabulary=vocabulary,
                field=self.field,
                find=self.find,
                progress=console.is_terminal,
                **fields,
                **self.work,
            )
        _tell_of_labels(console, summary)
        self._write_files(console, samples, asked, vocabulary)
        console.print(
            f"look at it: [bold]fiftyone app launch {dataset.name}[/bold] "
            f"(field [bold]{self.field}[/bold])"
        )
        if summary.samples and summary.failed and not summary.instances and not summary.kept:
            raise RuntimeError("no image could be labelled; the reasons are above")

    def _check_options(self) -> None:
        given = {
            "--boxes": self.boxes,
            "--center-points": self.center_points,
            "--box-field": self.box_field,
            "--point-field": self.point_field,
            "--everything": self.everything or None,
            "--find": self.find,
        }
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} say different things to label: give one")
        if self.find is not None and not self.find.strip():
            raise UsageError('--find needs words, such as --find "a red bus"')
        with usage():
            from ovsam_plugin.presets import get_preset

            get_preset(self.preset)

    def _vocabulary(self) -> Vocabulary | str:
        from ovsam_plugin.vocabulary.sources import load_vocabulary

        if self.vocabulary.startswith("dataset:"):
            return self.vocabulary  # needs the dataset, which is not open yet
        with usage():
            return load_vocabulary(self.vocabulary)

    def _annotations(self) -> Any:
        from ovsam_plugin.dataset.annotations import read_annotations

        with usage():
            if self.boxes is not None:
                return read_annotations(self.boxes, "box")
            if self.center_points is not None:
                return read_annotations(self.center_points, "center-point")
        return None

    def _dataset(self) -> tuple[fo.Dataset, Path | None]:
        """The dataset, and its folder where one was given."""
        import fiftyone as fo

        from ovsam_plugin.dataset.importing import import_images

        folder = Path(self.target).expanduser()
        if folder.is_dir():
            with usage():
                return import_images(folder), folder
        if fo.dataset_exists(self.target):
            return fo.load_dataset(self.target), None
        if folder.is_file():
            raise UsageError(f"{self.target} is a file: give the folder that it is in")
        from difflib import get_close_matches

        near = get_close_matches(self.target, fo.list_datasets(), n=3)
        hint = f"; datasets with such a name: {', '.join(near)}" if near else ""
        raise UsageError(f"there is no folder and no dataset called {self.target!r}{hint}")

    def _write_files(
        self,
        console: Console,
        samples: fo.SampleCollection,
        asked: AttachedPrompts | None,
        vocabulary: Vocabulary | str,
    ) -> None:
        from ovsam_plugin.contact_sheet import save_sheet
        from ovsam_plugin.dataset.export import (
            CategoryIds,
            annotation_rows,
            field_rows,
            write_rows,
        )

        if self.export is not None:
            if asked is not None:
                known = None if isinstance(vocabulary, str) else vocabulary
                ids = CategoryIds(asked.file.categories, known)
                rows = iter(annotation_rows(samples, self.field, asked, ids))
            else:
                rows = field_rows(samples, self.field, self.box_field or self.point_field)
            count = write_rows(rows, self.export)
            console.print(f"{count} predictions written to [bold]{self.export}[/bold]")
        if self.contact_sheet is not None and len(samples):
            path = save_sheet(samples, self.field, self.contact_sheet)
            console.print(f"contact sheet written to [bold]{path}[/bold]")


def _tell_of_prompts(console: Console, asked: AttachedPrompts) -> None:
    file = asked.file
    crowds = f", {file.crowds} crowds left out" if file.crowds else ""
    console.print(f"{len(file.prompts)} prompts from {file.path.name}{crowds}")
    if asked.missing:
        _warn(console, f"{len(asked.missing)} images are not there", asked.missing)
    others = {
        prompt_id: reason
        for prompt_id, reason in asked.errors.items()
        if not reason.startswith("there is no image")
    }
    if others:
        reasons = [f"annotation {prompt_id}: {reason}" for prompt_id, reason in others.items()]
        _warn(console, f"{len(others)} annotations cannot be asked", reasons)


def _tell_of_labels(console: Console, summary: LabelSummary) -> None:
    kept = f", {summary.kept} were labelled before" if summary.kept else ""
    console.print(
        f"{summary.instances} instances on {summary.labelled} images "
        f"in {summary.seconds:.1f} s{kept}"
    )
    if summary.failed:
        what = "image has" if summary.failed == 1 else "images have"
        _warn(
            console,
            f"{summary.failed} {what} something that failed ({summary.field}_error says what)",
            summary.reasons,
        )


def _warn(console: Console, message: str, details: Any) -> None:
    console.print(f"[yellow]warning:[/yellow] {message}")
    for detail in list(details)[:_SHOWN]:
        console.print(f"  {detail}", markup=False)
    if len(details) > _SHOWN:
        console.print("  ...")
