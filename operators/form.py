"""What the forms of all operators are made of, and how one is called from a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.core.patches import PatchesView
from fiftyone.operators import types

from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.dataset.overwrite_request import OverwriteRequest
from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest

VOCABULARIES = {
    "coco": "COCO (80 classes)",
    "lvis": "LVIS (1,203 classes)",
    "imagenet-1k": "ImageNet-1k",
    "imagenet-21k": "ImageNet-21k",
    "open-22k": "LVIS, COCO and ImageNet-21k together (over 20,000)",
    "names": "My own names",
    "file": "A file",
}
LABEL_VOCABULARIES = {**VOCABULARIES, "field": "The classes of a label field"}


class FormOperator(foo.Operator):  # type: ignore[misc]
    """An operator with a form, run at once or delegated, and callable from a notebook."""

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


def form_config(name: str, label: str, description: str) -> foo.OperatorConfig:
    """Of an operator whose form changes as it is filled in."""
    return foo.OperatorConfig(
        name=name,
        label=label,
        description=description,
        dynamic=True,
        allow_immediate_execution=True,
        allow_delegated_execution=True,
        risk_level=types.RiskLevel.MEDIUM,
    )


def flat_target(ctx: foo.ExecutionContext) -> fo.core.collections.SampleCollection:
    """The samples to work on: one slice of groups, but all samples of a view grouped by a field."""
    samples = ctx.target_view()
    if samples._is_dynamic_groups:
        return ctx.dataset.select(samples.flatten().values("id"))
    return ctx.target_view(require_flat=True)


def menu(
    inputs: types.Object, name: str, choices: dict[str, str] | list[str], value: str, label: str
) -> None:
    """A choice of one; a list's items are their own labels."""
    view = types.DropdownView()
    for key in choices:
        view.add_choice(key, label=choices[key] if isinstance(choices, dict) else key)
    inputs.enum(name, view.values(), default=value, label=label, view=view)


def run_menu(inputs: types.Object, ctx: foo.ExecutionContext) -> str:
    """A choice of a run; returns `chosen_run`."""
    fields = run_fields(ctx.dataset)
    if not fields:
        inputs.view("none", types.Error(label="No labelling run yet: label the dataset first"))
    menu(inputs, "field", fields, chosen_run(ctx), "Run")
    return chosen_run(ctx)


def chosen_run(ctx: foo.ExecutionContext) -> str:
    """The field of the run that a form is about, the first one by default; "" without a run."""
    return str(ctx.params.get("field") or next(iter(run_fields(ctx.dataset)), ""))


def field_menu(inputs: types.Object, name: str, fields: list[str], label: str) -> None:
    """A choice of a field that is needed."""
    view = types.AutocompleteView(choices=[types.Choice(f, label=f) for f in fields])
    inputs.enum(name, fields, required=True, label=label, view=view)


def vocabulary_menu(inputs: types.Object, value: str, choices: dict[str, str]) -> None:
    """Which vocabulary, and the names or the file where those are chosen."""
    menu(inputs, "vocabulary", choices, value, "Vocabulary")
    if value == "names":
        inputs.str("names", required=True, label="Names", description="cat, dog, fire hydrant")
    elif value == "file":
        inputs.str("file", required=True, label="File", description=".txt, .csv or .json")


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
    inputs.bool(
        "overwrite", default=False, label="Replace existing labels", description=description
    )
    if (found := request.at_stake(samples)) is not None:
        inputs.bool(
            "overwrite_all",
            default=False,
            label=f"Also replace the labels of {found.field!r} {found}",
        )


def mark(inputs: types.Object, problems: dict[str, str]) -> None:
    """Show each problem at the question that it is about."""
    for name, message in problems.items():
        prop = inputs.properties.get(name)
        if prop is None:
            prop = inputs.view(f"{name}_problem", types.Error(label=message))
        prop.invalid, prop.error_message = True, message


def selected_labels(ctx: foo.ExecutionContext) -> list[str]:
    """Ids of the selected labels, of whatever field; in a view of patches, of the selected ones."""
    if isinstance(ctx.view, PatchesView):
        return [str(label_id) for label_id in ctx.selected or ()]
    return [str(label["label_id"]) for label in ctx.selected_labels or ()]


def progress(ctx: foo.ExecutionContext) -> Callable[[Any], None]:
    """Tells the App every two seconds how many images are done."""

    def report(bar: Any) -> None:
        ctx.set_progress(progress=bar.progress, label=f"{bar.iteration} of {bar.total} images")

    told: Callable[[Any], None] = fo.report_progress(report, dt=2.0)
    return told
