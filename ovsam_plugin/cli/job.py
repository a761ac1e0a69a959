"""One call of `ovsam label`: checks, steps, and what is said of them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from ovsam_plugin.cli.failure import CommandError, StoppedError, UsageError, usage
from ovsam_plugin.cli.outputs import check_file, check_picture, print_json
from ovsam_plugin.counting import counted

if TYPE_CHECKING:
    import fiftyone as fo
    from rich.console import Console

    from ovsam_plugin.dataset.importing import AttachedPrompts
    from ovsam_plugin.dataset.labeling import LabelSummary
    from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

_SHOWN = 5
_NAMES = 8
_NOTHING_PASSED = (
    "no instance passed the minimum objectness and confidence, or matched the words: run it again "
    "with a lower --min-objectness or --min-confidence, or other words, and --overwrite"
)


@dataclass(frozen=True, kw_only=True)
class LabelJob:
    """The command with its options; `work` goes to `label_dataset` as it is.

    `prompt_fields` are fields that ask, by their keywords of `label_dataset`.
    """

    target: str
    preset: str
    vocabulary: str
    boxes: Path | None
    center_points: Path | None
    crowds: bool
    prompt_fields: dict[str, str]
    everything: bool
    find: str | None
    examples: tuple[str, ...]
    field: str
    export: Path | None
    contact_sheet: Path | None
    as_json: bool
    work: dict[str, Any]

    def run(self, console: Console) -> None:
        self._check_options()
        vocabulary = self._vocabulary(console)
        annotations = self._annotations()
        find, examples = self._examples()

        from ovsam_plugin.dataset.fields import check_field
        from ovsam_plugin.dataset.importing import attach_prompts
        from ovsam_plugin.dataset.labeling import label_dataset
        from ovsam_plugin.dataset.targets import all_images

        dataset, folder = self._dataset()
        name = escape(dataset.name)
        samples: fo.SampleCollection = all_images(dataset)
        console.print(f"dataset [bold]{name}[/bold]: {counted(len(samples), 'image')}")
        with usage():
            check_field(dataset, self.field)
        asked = None
        fields: dict[str, Any] = dict(self.prompt_fields)
        if annotations is not None:
            with usage():
                asked = attach_prompts(
                    dataset,
                    annotations,
                    label_field=self.field,
                    missing_in=folder,
                    overwrite=bool(self.work["overwrite"]),
                )
            samples = asked.view(dataset)
            fields["box_field" if annotations.source == "box" else "point_field"] = asked.field
            _tell_of_prompts(console, asked)
            if not asked.labels:
                self._write_files(console, samples, asked, vocabulary)
                raise CommandError(f"nothing was labelled: {_why_nothing(asked)}")
        with usage():
            try:
                summary = label_dataset(
                    samples,
                    preset=self.preset,
                    vocabulary=vocabulary,
                    label_field=self.field,
                    examples=examples,
                    find=find,
                    progress=console.is_terminal,
                    **fields,
                    **self.work,
                )
            except (ValueError, OSError):
                if asked is not None:
                    asked.put_back(dataset)
                raise
        if self.as_json:
            print_json({"dataset": dataset.name, **asdict(summary)})
        _tell_of_labels(console, summary)
        _tell_of_names(console, samples, self.field)
        self._write_files(console, samples, asked, vocabulary)
        console.print(
            f"look at it: [bold]ovsam app open {name}[/bold] (field [bold]{self.field}[/bold])"
        )
        if summary.left:
            raise StoppedError
        if self._nothing_came(console, samples, summary, asking=bool(fields)):
            raise CommandError("nothing could be labelled; the reasons are above")
        if not summary.instances and summary.labelled > summary.failed:
            console.print(_NOTHING_PASSED)

    def _nothing_came(
        self,
        console: Console,
        samples: fo.SampleCollection,
        summary: LabelSummary,
        *,
        asking: bool,
    ) -> bool:
        """Whether neither this call nor an earlier one labelled anything; tells reasons that
        stand since an earlier one."""
        if summary.instances:
            return False
        if 0 < summary.failed == summary.samples:
            return True
        # What was answered and then left out by a threshold was labelled all the same.
        bounds = ("min_objectness", "min_confidence", "calibration")
        bounded = any(self.work[name] is not None for name in bounds)
        if not asking or bounded:
            return False
        if samples.count(f"{self.field}.detections"):
            return False
        if summary.kept:
            from ovsam_plugin.dataset.fields import error_field

            _tell_of_standing_reasons(console, samples, error_field(self.field))
        return True

    def _check_options(self) -> None:
        given = {
            "--boxes": self.boxes,
            "--center-points": self.center_points,
            **{f"--{name.replace('_', '-')}": field for name, field in self.prompt_fields.items()},
            "--everything": self.everything or None,
            "--find": self.find,
        }
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} say different things to label: give one")
        if self.find is not None and not self.find.strip():
            raise UsageError('--find needs words, such as --find "a red bus"')
        if self.work["refine_masks"] and "mask_field" not in self.prompt_fields:
            raise UsageError("--refine-masks needs --mask-field: the masks to redraw")
        if self.crowds and self.boxes is None and self.center_points is None:
            raise UsageError(
                "--crowds is for an annotation file: give --boxes or --center-points too"
            )
        inputs = (self.boxes, self.center_points, Path(self.vocabulary))
        check_file("--export", self.export, "preds.json", inputs)
        check_picture("--contact-sheet", self.contact_sheet, "sheet.png")
        with usage():
            from ovsam_plugin.hardware.precision import check_precision
            from ovsam_plugin.presets import get_preset

            get_preset(self.preset)
            check_precision(self.work["precision"])

    def _vocabulary(self, console: Console) -> Vocabulary | str:
        from ovsam_plugin.vocabulary.sources import load_vocabulary

        if self.vocabulary.startswith("dataset:"):
            return self.vocabulary  # needs the dataset, which is not open yet
        with usage(), warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", UserWarning)
            vocabulary = load_vocabulary(self.vocabulary)
        for warning in noted:
            _warn(console, str(warning.message))
        return vocabulary

    def _examples(self) -> tuple[str | Category | None, dict[str, list[str]]]:
        """What is to be found, and the examples of other classes."""
        from ovsam_plugin.vocabulary.example import read_examples
        from ovsam_plugin.vocabulary.vocabulary import Category

        with usage():
            examples = read_examples(self.examples)
            if self.find is None or self.find not in examples:
                return self.find, examples
            return Category(self.find, examples=tuple(examples.pop(self.find))), examples

    def _annotations(self) -> Any:
        from ovsam_plugin.dataset.annotations import read_annotations

        with usage():
            if self.boxes is not None:
                return read_annotations(self.boxes, "box", crowds=self.crowds)
            if self.center_points is not None:
                return read_annotations(self.center_points, "center-point", crowds=self.crowds)
        return None

    def _dataset(self) -> tuple[fo.Dataset, Path | None]:
        """The dataset, and its folder where one was given."""
        import fiftyone as fo

        from ovsam_plugin.dataset.database import require_database
        from ovsam_plugin.dataset.importing import import_images

        require_database()

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
        from ovsam_plugin.dataset.contact_sheet import save_sheet
        from ovsam_plugin.dataset.export import (
            CategoryIds,
            annotation_rows,
            field_rows,
            write_rows,
        )
        from ovsam_plugin.dataset.prompt_kinds import prompt_fields_of

        if self.export is not None:
            if asked is not None:
                known = None if isinstance(vocabulary, str) else vocabulary
                ids = CategoryIds(asked.file.categories, known)
                rows = annotation_rows(samples, self.field, asked, ids)
            else:
                rows = field_rows(samples, self.field, prompt_fields_of(**self.prompt_fields))
            count = write_rows(rows, self.export)
            console.print(
                f"{counted(count, 'prediction')} written to [bold]{escape(str(self.export))}[/bold]"
            )
        if self.contact_sheet is not None and len(samples):
            path = save_sheet(samples, self.field, self.contact_sheet)
            console.print(f"contact sheet written to [bold]{escape(str(path))}[/bold]")


def _tell_of_prompts(console: Console, asked: AttachedPrompts) -> None:
    file = asked.file
    crowds = f", {counted(file.crowds, 'crowd')} left out" if file.crowds else ""
    console.print(f"{counted(len(file.prompts), 'prompt')} from {escape(file.path.name)}{crowds}")
    if file.file.notes:
        _warn(console, f"{file.path.name} has problems", file.file.notes)
    if asked.missing:
        message = f"images of {file.path.name} that are missing: {len(asked.missing)}"
        _warn(console, message, asked.missing)
    missing = set(asked.missing)
    absent = {image.id for image in file.images if image.file_name in missing}
    others = [
        f"annotation {file.prompts[number].id}: {reason}"
        for number, reason in asked.errors.items()
        if file.prompts[number].image_id not in absent
    ]
    if others:
        _warn(console, f"{counted(len(others), 'annotation')} cannot be used as prompts", others)


def _why_nothing(asked: AttachedPrompts) -> str:
    file = asked.file
    for number, reason in asked.errors.items():
        count = counted(len(file.prompts), "annotation")
        return (
            f"none of {count} can be used as a prompt; annotation {file.prompts[number].id}: "
            f"{reason}"
        )
    if file.crowds:
        return (
            f"every annotation of {file.path.name} is a crowd; --crowds treats crowds as instances"
        )
    return f"{file.path.name} has no annotation"


def _tell_of_labels(console: Console, summary: LabelSummary) -> None:
    kept = f" ({counted(summary.kept, 'image')} labelled before)" if summary.kept else ""
    console.print(
        f"{counted(summary.instances, 'instance')} on {counted(summary.labelled, 'image')} "
        f"in {summary.seconds:.1f} s{kept}"
    )
    if summary.left:
        console.print(f"{counted(summary.left, 'image')} left")
    if summary.failed:
        message = (
            f"something failed on {counted(summary.failed, 'image')}: see {summary.field}_error"
        )
        _warn(console, message, summary.reasons)


def _tell_of_names(console: Console, samples: fo.SampleCollection, field: str) -> None:
    counts = Counter(samples.count_values(f"{field}.detections.label"))
    del counts[None]  # of empty masks
    most = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(_NAMES))
    more = f", and {counted(len(counts) - _NAMES, 'other name')}" if len(counts) > _NAMES else ""
    if most:
        console.print(f"names: {escape(most)}{more}")


def _tell_of_standing_reasons(console: Console, samples: fo.SampleCollection, field: str) -> None:
    failed = samples.exists(field)
    reasons = [
        f"{Path(path).name}: {reason}"
        for path, reason in zip(*failed[: _SHOWN + 1].values(["filepath", field]))
    ]
    _warn(
        console, f"something failed before on {counted(len(failed), 'image')}: see {field}", reasons
    )


def _warn(console: Console, message: str, details: Sequence[str] = ()) -> None:
    console.print(f"[yellow]warning:[/yellow] {escape(message)}")
    for detail in details[:_SHOWN]:
        console.print(f"  {detail}", markup=False)
    if len(details) > _SHOWN:
        console.print("  ...")
