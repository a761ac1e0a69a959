"""The part of a form that tries it on a few photographs, without writing anything."""

from __future__ import annotations

import base64
import io
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.counting import counted
from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.dataset.tried_photographs import COUNT, tried_photographs
from ovsam_plugin.import_lock import IMPORTS

from .form import Choices, flat_target, menu, slider
from .live import in_words

_URI = "@ovsam/curation/try_labels"
_TILE = 520


class TryLabels(foo.Operator):  # type: ignore[misc]
    """Looks at the photographs of a preview; the form shows them then."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="try_labels",
            label="Try the labels",
            unlisted=True,
            risk_level=types.RiskLevel.LOW,
        )

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        with IMPORTS:
            from ovsam_plugin.dataset.model_building import build_model
            from ovsam_plugin.dataset.preview import make_preview

        samples = flat_target(ctx)
        form = ctx.params.get("form")
        if not isinstance(form, dict):
            raise ValueError(f"there is no form to try, got {form!r:.80}")
        request = LabelRequest.from_params(form)
        key, look_key = request.preview_keys(samples)
        make_preview(
            tried_photographs(samples, request.prompt_fields),
            lambda: build_model(**request.model_arguments(samples)),
            request.prompt_fields,
            key=key,
            look_key=look_key,
        )
        return {"key": key}


def preview_switch(inputs: types.Object, samples: Samples) -> None:
    """Whether a few photographs are tried."""
    inputs.bool(
        "preview",
        default=False,
        label=f"Try on {counted(min(COUNT, samples.count()), 'photograph')}",
        description="shows what these settings give; nothing is written",
        view=types.SwitchView(),
    )


def preview_into(
    inputs: types.Object,
    ctx: foo.ExecutionContext,
    request: LabelRequest,
    samples: Samples,
    problems: dict[str, str],
) -> None:
    """The photographs with their labels, once the switch is on and they have been looked at."""
    if not ctx.params.get("preview") or problems.keys() - {"field", "overwrite_all"}:
        return
    key, _ = request.preview_keys(samples)
    form = {k: v for k, v in ctx.params.items() if k in LabelRequest.questions()}
    params: dict[str, Any] = {"key": key, "form": form}
    if target := ctx.request_params.get("view_target"):
        params["view_target"] = target
    inputs.loader(
        "tried",
        types.Object(),
        operator=_URI,
        params=params,
        dependencies=["key"],
        label="Labelling them ...",
    )
    if ((ctx.params.get("tried") or {}).get("data") or {}).get("key") == key:
        _show(inputs, request, key, samples)


def _show(inputs: types.Object, request: LabelRequest, key: str, samples: Samples) -> None:
    with IMPORTS:
        from ovsam_plugin.dataset.contact_sheet import draw_sheet
        from ovsam_plugin.dataset.preview import preview

    made = preview(key)
    if made is None:
        return
    limits = request.min_objectness, request.min_confidence
    drawn = made.at(*limits, request.calibration(samples))
    left = request.left(samples)
    sheet = draw_sheet((tile for tile, _ in drawn), tile_size=_TILE, columns=2)
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=85)
    counts = [count for _, count in drawn]
    told = f"{sum(counts) / max(len(counts), 1):.1f} instances per photograph"
    if made.seconds and left:
        told += f"; all {left:,} take {in_words(left * made.seconds)} on this machine"
    inputs.view("told", types.Notice(label=told))
    _one_class(inputs, request, made.classes(*limits))
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    view = types.ImageView(width="100%", alt="the photographs with their labels")
    inputs.str("picture", default=source, view=view)


def _one_class(inputs: types.Object, request: LabelRequest, found: list[str]) -> None:
    """A minimum confidence for one class that was found: one that is too often wrong."""
    if not found:
        return
    chosen = request.strict_class if request.strict_class in found else ""
    # The App shows nothing as chosen, and what is told below.
    nothing = ("no class", "one class that is too often wrong")
    classes: Choices = {"": nothing, **{name: name for name in found}}
    menu(inputs, "strict_class", classes, chosen, "Stricter with")
    if chosen:
        label = f"Minimum confidence of {chosen!r}"
        told = "for this class only; it also applies when you label"
        slider(inputs, "strict_confidence", request.strict_confidence, 0.0, label, told)
