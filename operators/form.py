"""What the forms of all operators are made of, and how one is called from a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.core.patches import PatchesView
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionOptions

from ovsam_plugin.consent import OVERWRITE, OVERWRITE_ALL, ConsentError, Setting
from ovsam_plugin.curation.decisions import reviewer
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.curation.run_requests import RunRequest
from ovsam_plugin.dataset.form import Form
from ovsam_plugin.dataset.overwrite_request import REPLACE, REPLACE_ALL, OverwriteRequest
from ovsam_plugin.dataset.targets import ungrouped
from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest
from ovsam_plugin.markdown import plain

from .live import in_app
from .scheduling import can_delegate, take_over, tell_scheduled

Choices: TypeAlias = Mapping[str, str | tuple[str, str]] | Sequence[str]
"""Of a menu, by value: the label, and where it helps what the choice gives; a list's items are
their own labels."""

VOCABULARIES: dict[str, str | tuple[str, str]] = {
    "lvis": ("LVIS: 1,203 everyday things", "teapot, skateboard, giraffe, traffic light, ..."),
    "coco": ("COCO: 80 common things", "person, car, dog, chair, bottle, ..."),
    "names": ("My own names", "one or more, in everyday words: cat, fire hydrant, ..."),
    "file": ("A file of names", ".txt, .csv or .json, also a COCO annotation file"),
    "open-22k": (
        "All together: over 20,000",
        "LVIS, COCO and ImageNet-21k: plants, animals, dishes, tools; names are less certain",
    ),
    "imagenet-1k": ("ImageNet: 1,000", "tabby cat, espresso, sports car, ..."),
    "imagenet-21k": ("ImageNet: 21,843", "from aardvark to zucchini; names are less certain"),
}
LABEL_VOCABULARIES = {
    **VOCABULARIES,
    "field": ("The classes of a label field", "the names already used in this dataset"),
}
MODELS: dict[str, str | tuple[str, str]] = {
    "ovsam-lite": (
        "ovsam-lite: small and quick",
        "a second or two per photograph on a CPU, works offline; for large, clear objects. "
        "Apache-2.0",
    ),
    "ovsam-rn50x16-lvis": (
        "ovsam-rn50x16-lvis: the published network, for LVIS",
        "finer masks and names, best on a GPU; 1.2 GB are fetched once. Non-commercial",
    ),
    "ovsam-rn50x16-coco": (
        "ovsam-rn50x16-coco: the published network, for COCO",
        "the same, with its head trained on COCO's classes. Non-commercial",
    ),
    "ovsam-rn50x16-demo": (
        "ovsam-rn50x16-demo: the published network, from the authors' demo",
        "the same, with its head trained on the most classes. Non-commercial",
    ),
}
LABEL_MODELS = {
    **MODELS,
    "sam-siglip2": (
        "sam-siglip2: SAM's masks, SigLIP 2's names",
        "needs SAM's checkpoint (see Weights); open_clip fetches SigLIP 2; best on a GPU. "
        "Apache-2.0",
    ),
    "sam-clip": (
        "sam-clip: SAM's masks, CLIP's names",
        "the same, named by OpenCLIP's small ViT-B/32. Apache-2.0 and MIT",
    ),
}
"""Also those that only draw, whose instances another model names."""
BOXES = {OVERWRITE: REPLACE, OVERWRITE_ALL: REPLACE_ALL}
"""What `overwrite_menu` calls the library's settings."""


class AskingOperator(foo.Operator):  # type: ignore[misc]
    """An operator with a form.

    Attributes:
        request: what the form is read as; it has all questions that may come up.
    """

    request: type[Form]

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        """The questions, as far as they are answered; FiftyOne's `resolve_input`."""
        raise NotImplementedError

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        form = self.form(ctx)
        # A form keeps answers to what it no longer asks; a script has misspelt them.
        if not in_app(ctx) and not ctx.delegated:
            asked = form.type.properties.items()
            shown = {name for name, each in asked if not isinstance(each.type, types.Void)}
            known = self.request.questions() | shown | {"view_target"}
            if unknown := ctx.params.keys() - known:
                told = f"{self.name} has no {', '.join(sorted(unknown))}"
                mark(form.type, {"params": f"{told}: it has {', '.join(sorted(known))}"})
        return form


class FormOperator(AskingOperator):
    """One that is run at once or delegated, and callable from a notebook."""

    def where(self, ctx: foo.ExecutionContext) -> str:
        """Where the outcome is found; said of a run that is scheduled."""
        raise NotImplementedError

    def resolve_delegation(self, ctx: foo.ExecutionContext) -> None:
        if self.config.execute_as_generator:
            take_over(ctx)

    def resolve_run_name(self, ctx: foo.ExecutionContext) -> str:
        # FiftyOne asks for it as it schedules, and the App does what it is told meanwhile.
        tell_scheduled(ctx, self.where(ctx))
        return str(self.name)

    def resolve_execution_options(self, ctx: foo.ExecutionContext) -> ExecutionOptions:
        options = super().resolve_execution_options(ctx)
        if ctx.executor is None and not can_delegate():  # the App asks what to offer
            return ExecutionOptions(
                allow_immediate_execution=options.allow_immediate_execution,
                allow_delegated_execution=False,
            )
        return options

    def __call__(
        self,
        samples: fo.core.collections.SampleCollection,
        *,
        delegate: bool = False,
        **params: Any,
    ) -> Any:
        """Runs the operator from a notebook, as the App does.

        Args:
            samples: a dataset or view.
            delegate: whether to hand it to a delegated worker.
            **params: the form's values.
        """
        ctx = {"view": samples.view(), "params": {**params, "view_target": "CURRENT_VIEW"}}
        return foo.execute_operator(self.uri, ctx, request_delegation=delegate)


def form_config(
    name: str, label: str, description: str, *, live: bool = False
) -> foo.OperatorConfig:
    """Of an operator whose form changes as it is filled in; `live` where it tells as it goes."""
    return foo.OperatorConfig(
        name=name,
        label=label,
        description=description,
        dynamic=True,
        execute_as_generator=live,
        allow_immediate_execution=True,
        allow_delegated_execution=True,
        risk_level=types.RiskLevel.MEDIUM,
    )


@contextmanager
def consent_by(boxes: Mapping[Setting, str]) -> Iterator[None]:
    """An error inside that asks for consent names the form's box for it, if there is one."""

    def tick(setting: Setting) -> str | None:
        return f'tick "{boxes[setting]}"' if setting in boxes else None

    try:
        yield
    except ConsentError as error:
        raise ValueError(error.spelled(tick)) from error


def flat_target(ctx: foo.ExecutionContext) -> fo.core.collections.SampleCollection:
    """The samples to work on: one slice of groups, but all samples of a view grouped by a field."""
    samples = ctx.target_view()
    all_of_them = ungrouped(samples)
    return ctx.target_view(require_flat=True) if all_of_them is samples else all_of_them


def menu(
    inputs: types.Object, name: str, choices: Choices, value: str, label: str
) -> types.Property:
    """A choice of one; what is chosen is described below."""
    told = choices if isinstance(choices, Mapping) else dict(zip(choices, choices))
    pairs = {key: (text, None) if isinstance(text, str) else text for key, text in told.items()}
    view = types.DropdownView()
    for key, (text, described) in pairs.items():
        view.add_choice(key, label=text, description=described)
    chosen = pairs.get(value, ("", None))[1]
    return inputs.enum(
        name, view.values(), default=value, label=label, description=chosen, view=view
    )


def slider(
    inputs: types.Object, name: str, value: float, start: float, label: str, description: str
) -> None:
    """A limit between 0 and 1, with its value in words."""
    told = plain(f"{label}: {value:.2f}")
    view = types.SliderView(
        label=told,
        description=description,
        label_position="top",
        value_label_display="auto",
        value_precision=2,
    )
    inputs.float(name, min=0, max=1, default=start, label=told, description=description, view=view)


def run_menu(inputs: types.Object, ctx: foo.ExecutionContext) -> str:
    """A choice of a run; returns `chosen_run`, or "" where there is no such run."""
    fields = run_fields(ctx.dataset)
    if not fields:
        inputs.view("none", types.Error(label="No labelling run yet: label the dataset first"))
    field = chosen_run(ctx)
    menu(inputs, "field", fields, field, "Run")
    if fields and field not in fields:
        mark(inputs, {"field": f"there is no run {field!r}: choose one"})
        return ""
    return field


def chosen_run(ctx: foo.ExecutionContext) -> str:
    """The field of the run that a form is about, the first one by default; "" without a run."""
    return RunRequest.read(ctx.params).field or next(iter(run_fields(ctx.dataset)), "")


def field_menu(
    inputs: types.Object, name: str, fields: list[str], label: str, value: str | None = None
) -> None:
    """A choice of a field that is needed."""
    view = types.AutocompleteView(choices=[types.Choice(f, label=f) for f in fields])
    inputs.enum(name, fields, required=True, default=value, label=label, view=view)


def vocabulary_menu(inputs: types.Object, value: str, choices: Choices) -> None:
    """Which vocabulary, and the names or the file where those are chosen."""
    menu(inputs, "vocabulary", choices, value, "Names from")
    if value == "names":
        inputs.str(
            "names",
            required=True,
            label="Names",
            description="separated by commas; synonyms follow a |, as in sofa|couch",
        )
    elif value == "file":
        inputs.str("file", required=True, label="File", description="its path on the server")


def label_vocabulary_menu(
    inputs: types.Object, request: VocabularyRequest, samples: fo.core.collections.SampleCollection
) -> None:
    """The same, where a label field's classes may serve too."""
    vocabulary_menu(inputs, request.vocabulary, LABEL_VOCABULARIES)
    if request.vocabulary == "field":
        field_menu(inputs, "class_field", request.class_fields(samples), "Label field")


def overwrite_menu(
    inputs: types.Object,
    request: OverwriteRequest,
    samples: fo.core.collections.SampleCollection,
    description: str,
) -> None:
    """Whether labels may be replaced; and if a person made some, whether those may be too."""
    inputs.bool("overwrite", default=False, label=REPLACE, description=description)
    if (found := request.at_stake(samples)) is not None:
        inputs.bool(
            "overwrite_all",
            default=False,
            label=plain(f"{REPLACE_ALL} in {found.field!r}: {found}"),
        )


def new_field_menu(inputs: types.Object, described: str) -> None:
    """The field that new names go to, and whether it may be there already.

    Args:
        described: what it is called if it is not named.
    """
    inputs.str("into", label="New field", description=plain(f"if empty: {described}"))
    inputs.bool(
        "overwrite", default=False, label=REPLACE, description="if the new field already exists"
    )


def mark(inputs: types.Object, problems: dict[str, str]) -> None:
    """Show each problem at the question that it is about.

    Of samples that cannot be worked on nothing else is asked: the questions would be about them.
    """
    if "view_target" in problems:
        inputs.properties.clear()
        problems = {"view_target": problems["view_target"]}
    for name, message in problems.items():
        prop = inputs.properties.get(name)
        if prop is None:
            prop = inputs.view(f"{name}_problem", types.Error(label=plain(message)))
        prop.invalid, prop.error_message = True, message


def lines(outputs: types.Object, name: str, label: str) -> None:
    """An outcome of several lines."""
    view = types.LabelValueView(componentsProps={"value": {"sx": {"whiteSpace": "pre-line"}}})
    outputs.str(name, label=label, view=view)


def asker(ctx: foo.ExecutionContext, by: object = None) -> str:
    """Who asks: as they say themselves, else as the App knows, else `reviewer()`."""
    user = getattr(ctx, "user", None)
    known = getattr(user, "name", None) or getattr(user, "email", None)
    return str(by or "").strip() or str(known or "").strip() or reviewer()


def asker_question(inputs: types.Object, ctx: foo.ExecutionContext) -> None:
    """Under which name a decision is recorded."""
    inputs.str(
        "by",
        default=asker(ctx),
        label="Your name",
        description="recorded with the decision; as in the panel OVSAM review",
    )


def selected_labels(ctx: foo.ExecutionContext) -> list[str]:
    """Ids of the selected labels, of whatever field; in a view of patches, of the selected ones."""
    if isinstance(ctx.view, PatchesView):
        return [str(label_id) for label_id in ctx.selected or ()]
    return [str(label["label_id"]) for label in ctx.selected_labels or ()]


def progress(ctx: foo.ExecutionContext) -> Callable[[Any], None]:
    """Tells the App every two seconds how many images are done."""

    def report(bar: Any) -> None:
        ctx.set_progress(progress=bar.progress, label=f"{bar.iteration} of {bar.total} photographs")

    told: Callable[[Any], None] = fo.report_progress(report, dt=2.0)
    return told
