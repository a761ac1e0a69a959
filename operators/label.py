"""Form and call of `label_dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.counting import counted
from ovsam_plugin.dataset.overwrite_request import REPLACE
from ovsam_plugin.dataset.prompt_kinds import PROMPT_KINDS
from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.markdown import plain

from .form import (
    BOXES,
    LABEL_MODELS,
    FormOperator,
    consent_by,
    field_menu,
    flat_target,
    form_config,
    label_vocabulary_menu,
    lines,
    mark,
    menu,
    overwrite_menu,
    progress,
    slider,
)
from .live import Report, in_app, in_words, live
from .looking import show_run
from .preview import preview_into, preview_switch
from .scheduling import BACKGROUND, can_delegate, is_taken_over, schedule

_TITLE = "Label photographs"
_UNASKED: dict[str, str | tuple[str, str]] = {
    "everything": ("Everything", "each object in a photograph gets a mask and a name"),
    "find": ("What matches some words", 'only what matches them, such as "a red bus"'),
}
_NOTHING = (
    "No instance passed the minimum objectness and confidence, or matched the words: label again "
    f'with lower ones, or other words, and "{REPLACE}"'
)
_ADVANCED = ("weights", "tiles", "all_candidates", "refine_masks")


class Label(FormOperator):
    """Labels a dataset, a view or the selected samples."""

    request = LabelRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "label",
            "Label with Open-Vocabulary SAM",
            # The App's list of operators is ordered by the first letter of this.
            "A mask, a name and scores for every object in your photographs",
            live=True,
        )

    def resolve_placement(self, ctx: foo.ExecutionContext) -> types.Placement:
        button = types.Button(label="Label", icon="auto_awesome", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = flat_target(ctx)
        request = LabelRequest.from_params(ctx.params)
        problems = request.problems(samples)

        asked = {kind.name: (kind.title, kind.description) for kind in PROMPT_KINDS.values()}
        menu(inputs, "prompts", {**_UNASKED, **asked}, request.prompts, "What to label")
        if request.kind is not None:
            fields = request.prompt_field_choices(samples)
            field_menu(inputs, "prompt_field", fields, "Prompt field")
        if request.prompts == "find":
            inputs.str("find", required=True, label="Words", description="a red bus")
        label_vocabulary_menu(inputs, request, samples)
        menu(inputs, "preset", LABEL_MODELS, request.preset, "Model")
        preview_switch(inputs, samples)
        self._limits(inputs, request)
        preview_into(inputs, ctx, request, samples, problems)
        self._target(inputs, request, samples, problems)
        inputs.bool("advanced", default=False, label="More settings", view=types.SwitchView())
        if ctx.params.get("advanced") or problems.keys() & set(_ADVANCED):
            self._advanced(inputs, request)
        if not can_delegate():
            inputs.view("background", types.Notice(label=BACKGROUND))
        mark(inputs, problems)
        left = 0 if problems else request.left(samples)
        button = f"Label all {left:,}" if left else "Label"
        view = types.PromptView(label=_TITLE, submit_button_label=button)
        return types.Property(inputs, view=view)

    def _limits(self, inputs: types.Object, request: LabelRequest) -> None:
        start = request.objectness_start
        slider(
            inputs,
            request.objectness_input,
            start if request.min_objectness is None else request.min_objectness,
            start,
            "Minimum objectness",
            "how likely it is one whole thing; further right keeps fewer but better ones",
        )
        sure = request.min_confidence or 0.0
        label, told = "Minimum confidence", "how certain the name is"
        slider(inputs, "min_confidence", sure, 0.0, label, told)

    def _target(
        self,
        inputs: types.Object,
        request: LabelRequest,
        samples: Samples,
        problems: dict[str, str],
    ) -> None:
        # What is wrong with the field is told in the place of what would happen there.
        told = None if "field" in problems else plain(_where(request, samples))
        inputs.str("field", label="Field for the labels", description=told)
        overwrite_menu(
            inputs, request, samples, "labels that the field already holds are made again"
        )

    def _advanced(self, inputs: types.Object, request: LabelRequest) -> None:
        inputs.str(
            "weights",
            label="Weights",
            description="a .safetensors file, or SAM's checkpoint; if empty: the model's own",
        )
        if request.kind is None:
            inputs.bool(
                "all_candidates",
                default=False,
                label="Keep every candidate",
                description="parts and doubtful ones too, instead of one instance per thing",
            )
        elif request.kind.refinable:
            inputs.bool("refine_masks", default=False, label="Redraw the masks")
        inputs.str(
            "tiles",
            default=request.tiles,
            label="Tiles",
            description="auto, off, or how many along the longer side: large photographs are also "
            "processed in overlapping parts",
        )

    def where(self, ctx: foo.ExecutionContext) -> str:
        field = LabelRequest.from_params(ctx.params).target_field(flat_target(ctx))
        return f"the labels are in the field {field}"

    def execute(self, ctx: foo.ExecutionContext) -> Any:
        if is_taken_over(ctx):
            return schedule(ctx, self, self.where(ctx))
        samples = flat_target(ctx)
        request = LabelRequest.from_params(ctx.params).settled(samples)
        field = request.target_field(samples)

        def work(report: Report) -> dict[str, Any]:
            return _label(samples, request, report, delegated=ctx.delegated)

        if not in_app(ctx):
            done = work(progress(ctx))
            if not ctx.delegated:
                ctx.ops.reload_dataset()
            return done
        return self._in_app(ctx, work, field)

    def _in_app(self, ctx: foo.ExecutionContext, work: Any, field: str) -> Iterator[Any]:
        stop = {"operator": "@ovsam/curation/stop_labeling", "params": {"field": field}}
        results = yield from live(ctx, work, _outcome, stop)
        if "error" not in results:
            yield from show_run(ctx, field)

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        return _outcome(ctx.results or {})


def _outcome(results: dict[str, Any]) -> types.Property:
    outputs = types.Object()
    if results.get("error"):
        outputs.view("error", types.Error(label=plain(results["error"])))
        return types.Property(outputs)
    outputs.str("field", label="Field")
    outputs.int("labelled", label="Photographs labelled")
    outputs.int("instances", label="Instances")
    if not results.get("instances") and results.get("labelled", 0) > results.get("failed", 0):
        outputs.view("nothing", types.Notice(label=_NOTHING))
    for name, label in (
        ("left", "Photographs left, as it was stopped: label again, with the same settings"),
        ("kept", "Photographs that already had labels"),
        ("failed", "Of these, failed wholly or in part"),
        ("reasons", "Reasons for failure"),
    ):
        if results.get(name):
            lines(outputs, name, label)
    outputs.str("took", label="Time")
    return types.Property(outputs, view=types.View(label="Labelled"))


def _label(
    samples: Samples, request: LabelRequest, report: Report, *, delegated: bool
) -> dict[str, Any]:
    with IMPORTS:
        from ovsam_plugin import label_dataset

    with consent_by(BOXES):
        summary = label_dataset(
            samples,
            **request.arguments(samples),
            # The App's server has threads, and a loader process forked beside them may hang.
            workers=None if delegated else 0,
            progress=report,
        )
    return {
        "field": summary.field,
        "labelled": summary.labelled,
        "instances": summary.instances,
        "kept": summary.kept,
        "left": summary.left,
        "failed": summary.failed,
        "seconds": summary.seconds,
        "took": in_words(summary.seconds),
        "reasons": "\n".join(summary.reasons),
    }


def _where(request: LabelRequest, samples: Samples) -> str:
    """What happens to the labels where no field is named."""
    field = request.target_field(samples)
    there: fo.Field | None = samples.get_field(field)
    if there is None:
        return f"if empty: the new field {field}" if request.field is None else "a new field"
    left, total = request.left(samples), samples.count()
    which = f"{field}: " if request.field is None else ""
    if request.overwrite:
        return f"{which}{counted(total, 'photograph')}, labelled again"
    if not left:
        return f"{which}{counted(total, 'photograph')}, labelled with these settings already"
    return (
        f"{which}{total - left:,} of {total:,} photographs already have labels; the rest "
        "will be labelled"
    )
