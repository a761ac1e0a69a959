"""One call of `ovsam evaluate`: checks, steps, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from ovsam_plugin.cli.failure import CommandError, UsageError, usage
from ovsam_plugin.cli.outputs import check_file, check_folder, print_json
from ovsam_plugin.files import write_whole

if TYPE_CHECKING:
    from rich.console import Console

    from ovsam_plugin.annotations import Id
    from ovsam_plugin.baselines import Method
    from ovsam_plugin.evaluation.figures import TextTable
    from ovsam_plugin.evaluation.ground_truth import GroundTruth
    from ovsam_plugin.evaluation.results import Evaluated
    from ovsam_plugin.evaluation.run import Evaluation
    from ovsam_plugin.prediction.labeler import Labeler
    from ovsam_plugin.vocabulary.classifier import OnProgress
    from ovsam_plugin.vocabulary.vocabulary import Vocabulary

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """The command with its options."""

    target: str
    annotations: Path | None
    gt_field: str | None
    protocol: str
    split: str | None
    vocabulary: str | None
    preset: str
    weights: Path | None
    baselines: tuple[str, ...]
    contexts: tuple[Path, ...]
    sam: Path | None
    clip: str | None
    faithful: bool
    detections: Path | None
    field: str | None
    eval_key: str | None
    figures: Path | None
    as_json: bool
    report: Path | None
    limit: int | None
    device: str
    crowds: bool
    compare: str | None
    slices: tuple[str, ...]

    def run(self, console: Console) -> None:
        self._check_options()
        evaluated = self._fields(console) if self.field is not None else self._images(console)
        self._tell(console, evaluated)

    def _check_options(self) -> None:
        from ovsam_plugin.evaluation.protocols import PAIRED, check_protocol

        with usage():
            protocol = check_protocol(self.protocol)
        if (self.annotations is None) == (self.gt_field is None):
            raise UsageError(
                "give the ground truth: --annotations GT.json, or --field and --gt-field"
            )
        if (self.field is None) != (self.gt_field is None):
            raise UsageError("--field and --gt-field go together: the labels, and the ground truth")
        check_file("--figures", self.figures, "figures.json", (self.annotations, self.detections))
        check_folder("--report", self.report)
        asks = self.baselines or self.faithful or self.detections or self.sam
        if self.field is not None and asks:
            raise UsageError(
                "--baselines, --faithful, --sam and --detections run a model, and --field "
                "evaluates existing labels: give one or the other"
            )
        if self.field is None and (self.compare is not None or self.slices):
            raise UsageError(
                "--compare and --slice are for labels of a dataset: give --field and --gt-field too"
            )
        if (self.sam is None) != (self.clip is None):
            raise UsageError("--sam FILE and --clip MODEL/FILE go together")
        if self.field is None and (protocol == "detector") != (self.detections is not None):
            raise UsageError("--protocol detector and --detections DETS.json go together")
        if self.faithful and protocol not in PAIRED:
            raise UsageError(
                f"--faithful is for {' and '.join(PAIRED)}: the published evaluation has no "
                f"protocol {protocol}"
            )

    def _images(self, console: Console) -> Evaluated:
        from ovsam_plugin.evaluation.ground_truth import read_ground_truth
        from ovsam_plugin.prediction.labeler import load_labeler

        assert self.annotations is not None
        with usage():
            truth = read_ground_truth(self.annotations, crowds=self.crowds)
            whole, asked = self._vocabularies(truth)
            paths, notes = self._paths(truth, console)
            labeler = load_labeler(
                self.preset, vocabulary=asked, device=self.device, weights=self.weights
            )
            methods = self._methods(labeler, whole)
            evaluation = self._evaluation(truth, paths, asked, labeler)
        console.print(
            f"{len(evaluation):,} images, {len(asked):,} names, "
            f"methods: {escape(', '.join(method.name for method in methods))}"
        )
        with _bar(console) as progress:
            evaluated = evaluation.run(methods, progress)
        if not evaluated.paths:
            raise CommandError("no image could be evaluated: " + "; ".join(evaluated.problems[:3]))
        if not any(len(method.outcomes) for method in evaluated.methods):
            crowds = any(a.crowd for a in truth.file.annotations)
            why = "; ".join(evaluated.problems[:3]) or "no annotation can be used as a prompt"
            hint = "; --crowds treats crowds as instances" if crowds else ""
            raise CommandError(f"nothing was evaluated: {why}{hint}")
        weights = labeler.predictor.weights_hash
        evaluated = replace(evaluated, notes=(*evaluated.notes, *notes))
        return self._noted(evaluated, {"preset": self.preset, "weights (sha256)": weights})

    def _vocabularies(self, truth: GroundTruth) -> tuple[Vocabulary, Vocabulary]:
        """The vocabulary with its split, and what of it is answered from."""
        from ovsam_plugin.evaluation.splits import apply_split, fitting_vocabulary, split_only
        from ovsam_plugin.vocabulary.sources import load_vocabulary

        if self.vocabulary is not None:
            whole = load_vocabulary(self.vocabulary)
        else:
            whole = fitting_vocabulary(truth.categories)
        if self.split is None:
            whole = _without_split(whole)
            return whole, whole
        whole = apply_split(whole, self.split)
        return whole, whole if self.vocabulary is not None else split_only(whole)

    def _paths(
        self, truth: GroundTruth, console: Console
    ) -> tuple[Mapping[Id, Path], tuple[str, ...]]:
        """Images of the file that are there, by id, and what to know of the others.

        One without annotations is background: whatever is found on it is not there. Where prompts
        come from the truth, there is nothing to ask about on it.
        """
        from ovsam_plugin.annotations.photographs import PathFinder, find_in
        from ovsam_plugin.dataset.image_folder import image_folder
        from ovsam_plugin.evaluation.protocols import PAIRED

        names = {i.id: i.file_name for i in truth.images}
        notes = []
        if self.protocol in PAIRED:
            names = {i: name for i, name in names.items() if truth.truths.get(i)}
            if unasked := len(truth.images) - len(names):
                notes.append(
                    f"{unasked:,} of the file's {len(truth.images):,} images have no annotation: "
                    f"the protocol {self.protocol} has nothing to ask about on them, and they are "
                    "not evaluated"
                )
        folder = Path(self.target).expanduser()
        if folder.is_dir():
            fits = find_in(folder, names.values())
        else:
            dataset = self._dataset()
            finder = PathFinder(dataset.values("filepath"), image_folder(dataset))
            fits = finder.find(names.values())
        found = {i: Path(fits[name][0]) for i, name in names.items() if len(fits[name]) == 1}
        if found and len(found) < len(names):
            absent = [name for i, name in names.items() if i not in found]
            console.print(
                f"{len(absent):,} of the {len(names):,} images to evaluate are not there, such as "
                f"{escape(absent[0])}"
            )
        return dict(list(found.items())[: self.limit]), tuple(notes)

    def _methods(self, labeler: Labeler, whole: Vocabulary) -> list[Method]:
        from ovsam_plugin.baselines import METHODS, build_methods
        from ovsam_plugin.baselines.method import SAM
        from ovsam_plugin.evaluation.published import Published
        from ovsam_plugin.prediction.labeler import Labeler, build_recognizer

        wanted = {"ovsam", *self.baselines}
        if "all" in self.baselines:
            # A learned context has to be learned first: without one, its rows are left out.
            wanted = {name for name in METHODS if self.contexts or not name.endswith("+coop")}
            wanted.discard(SAM)
        if SAM in wanted and self.sam is None:
            raise ValueError(
                "the method sam needs SAM's own checkpoint: give --sam FILE and --clip "
                f"MODEL/FILE; the masks of {self.preset} are in the row ovsam"
            )
        unknown = sorted(wanted - set(METHODS))
        if unknown:
            raise ValueError(
                f"unknown method {unknown[0]!r}: choose all, or from {', '.join(METHODS)}"
            )
        own = [name for name in METHODS if name in wanted and name != SAM]
        methods = build_methods(own, labeler, self.contexts)
        if self.sam is not None:
            from ovsam_plugin.baselines.two_backbones import build_two_backbones

            methods += build_two_backbones(
                ("image-crop", "feature-crop", SAM),
                sam=self.sam,
                clip=f"openclip:{self.clip}",
                vocabulary=labeler.recognizer.vocabulary,
                device=self.device,
            )
        if self.faithful:
            preset, device = labeler.predictor.preset, labeler.predictor.device
            recognizer = build_recognizer(preset, whole, device)
            methods.append(Published(Labeler(labeler.predictor, recognizer)))
        return methods

    def _evaluation(
        self,
        truth: GroundTruth,
        paths: Mapping[Id, Path],
        vocabulary: Vocabulary,
        labeler: Labeler,
    ) -> Evaluation:
        from ovsam_plugin.evaluation.detections import read_detections
        from ovsam_plugin.evaluation.protocols import check_protocol
        from ovsam_plugin.evaluation.run import Evaluation
        from ovsam_plugin.prediction.labeler import Labeler

        # Average precision ranks all candidates, and not those alone that are worth showing.
        ranked = Labeler(labeler.predictor, labeler.recognizer, all_candidates=True)
        return Evaluation(
            truth,
            paths,
            vocabulary,
            check_protocol(self.protocol),
            detections=read_detections(self.detections, truth) if self.detections else None,
            finder=lambda pixels: ranked.label_image(pixels)[0].prompts,
        )

    def _dataset(self) -> Any:
        import fiftyone as fo

        from ovsam_plugin.dataset.database import require_database

        require_database()
        if fo.dataset_exists(self.target):
            return fo.load_dataset(self.target)
        from difflib import get_close_matches

        near = get_close_matches(self.target, fo.list_datasets(), n=3)
        hint = f"; datasets with such a name: {', '.join(near)}" if near else ""
        raise UsageError(f"there is no folder and no dataset called {self.target!r}{hint}")

    def _fields(self, console: Console) -> Evaluated:
        from ovsam_plugin.dataset.targets import all_images
        from ovsam_plugin.evaluation.comparing import together
        from ovsam_plugin.evaluation.evaluate import evaluate_dataset

        assert self.field is not None
        assert self.gt_field is not None
        samples = all_images(self._dataset())
        if self.limit is not None:
            samples = samples.limit(self.limit)
        key = self.eval_key or f"{self.field}_eval"

        truth = self.gt_field

        def evaluate(field: str, key: str | None) -> Evaluated:
            return evaluate_dataset(
                samples,
                field,
                truth,
                protocol=self.protocol,
                split=self.split,
                vocabulary=self.vocabulary,
                eval_key=key,
                slice_by=self.slices,
                progress=console.is_terminal,
            ).evaluated

        with usage():
            found = evaluate(self.field, key)
            if self.compare is not None:
                found = together(found, evaluate(self.compare, None))
        console.print(
            f"kept as [bold]{escape(key)}[/bold]: open the App's Model Evaluation panel on "
            f"[bold]{escape(self.target)}[/bold]"
        )
        return self._noted(found, {})

    def _noted(self, evaluated: Evaluated, more: Mapping[str, str]) -> Evaluated:
        """With what was asked for, by which its figures can be had again."""
        options = (
            "annotations",
            "split",
            "detections",
            "field",
            "gt_field",
            "compare",
            "sam",
            "clip",
            "limit",
        )
        given = {name: getattr(self, name) for name in options}
        asked = {
            "images": self.target,
            **{name: str(value) for name, value in given.items() if value is not None},
            **more,
        }
        return replace(evaluated, asked=asked)

    def _tell(self, console: Console, evaluated: Evaluated) -> None:
        from ovsam_plugin.evaluation.figures import compared, tables, to_json

        if evaluated.problems:
            count = len(evaluated.problems)
            console.print(f"[yellow]warning:[/yellow] {count:,} left out:")
            for problem in evaluated.problems[:_SHOWN]:
                console.print(f"  {problem}", markup=False)
            if count > _SHOWN:
                console.print("  ...")
        for note in evaluated.notes:
            console.print(f"[yellow]note:[/yellow] {escape(note)}")
        found, beside = compared(evaluated)
        for table in tables(found, beside):
            _print(console, table)
        figures = to_json(evaluated, found, beside)
        if self.figures is not None:
            write_whole(self.figures, json.dumps(figures, indent=2))
            console.print(f"figures written to [bold]{escape(str(self.figures))}[/bold]")
        if self.report is not None:
            from ovsam_plugin.evaluation.report import write_report

            page = write_report(evaluated, self.report)
            console.print(f"report written to [bold]{escape(str(page))}[/bold]")
        if self.as_json:
            print_json(figures)


def _without_split(vocabulary: Vocabulary) -> Vocabulary:
    from ovsam_plugin.vocabulary.vocabulary import Vocabulary

    return Vocabulary(vocabulary.name, tuple(replace(c, split=None) for c in vocabulary))


def _print(console: Console, table: TextTable) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    drawn = Table(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, head in enumerate(table.header):
        drawn.add_column(head, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    console.print(drawn)


@contextmanager
def _bar(console: Console) -> Iterator[OnProgress | None]:
    if not console.is_terminal:
        yield None
        return
    from rich.progress import Progress as Bar

    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
