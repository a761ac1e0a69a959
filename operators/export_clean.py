"""Form and call of `export_clean`."""

from __future__ import annotations

from typing import Any, cast

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.consent import OVERWRITE
from ovsam_plugin.counting import counted
from ovsam_plugin.curation.clean_counts import CleanCounts, count_clean
from ovsam_plugin.curation.clean_export import Format, export_clean
from ovsam_plugin.curation.run_requests import ExportRequest
from ovsam_plugin.dataset.internals import is_patches, patched_fields
from ovsam_plugin.dataset.targets import Samples, fields_of, shown_labels
from ovsam_plugin.dataset.vocabulary_request import given

from .form import FormOperator, consent_by, flat_target, form_config, lines, mark, menu

_LIKELY = "ovsam"
_NONE = "no field of instances: label the photographs first, with Label with Open-Vocabulary SAM"
_REPLACE = "Replace existing files"
_FORMATS = {
    "coco": "COCO (one .json file)",
    "lvis": "LVIS (one .json file)",
    "fiftyone": "FiftyOne dataset (a folder)",
}


class ExportClean(FormOperator):
    """Writes reviewed instances as ground truth."""

    request = ExportRequest

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "export_clean",
            "Export reviewed instances",
            "Accepted and renamed instances as clean ground truth: COCO, LVIS or FiftyOne",
        )

    def form(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples, fields, request = _asked(ctx)
        field = request.field or ""
        menu(inputs, "field", fields, field, "Field")
        menu(inputs, "format", _FORMATS, request.format, "Format")
        where = "a new folder" if request.format == "fiftyone" else "a .json file"
        inputs.str("path", required=True, label="Path", description=f"{where}, on the server")
        inputs.float(
            "undecided_above",
            min=0,
            max=1,
            label="Also undecided instances, from this confidence up",
            description="leave empty to leave them out",
        )
        inputs.bool(
            "half_reviewed",
            default=False,
            label="Also photographs that are only half reviewed",
            description="their undecided instances are left out of the export, so these "
            "photographs look complete although they are not",
        )
        inputs.bool("overwrite", default=False, label=_REPLACE)
        mark(inputs, request.unread)
        try:
            counts = count_clean(shown_labels(samples, field), field, **_chosen(request))
        except ValueError as error:
            mark(inputs, {"field": str(error) if fields else _NONE})
            return types.Property(inputs, view=types.View(label="Export reviewed instances"))
        inputs.view("counts", types.Notice(label=_told(counts)))
        if not counts.images:
            mark(inputs, {"half_reviewed" if counts.half_reviewed else "field": _nothing(counts)})
        return types.Property(inputs, view=types.View(label="Export reviewed instances"))

    def where(self, ctx: foo.ExecutionContext) -> str:
        return f"it is written to {ExportRequest.read(ctx.params).path}, on the server"

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        samples, _, request = _asked(ctx)
        request.check_read()
        field = given(request.field, _NONE)
        with consent_by({OVERWRITE: _REPLACE}):
            export = export_clean(
                shown_labels(samples, field),
                field,
                given(request.path, "enter the path to write to, on the server"),
                cast(Format, request.format),
                **_chosen(request),
                overwrite=request.overwrite,
            )
        return {
            "path": str(export.path.absolute()),
            "images": export.images,
            "instances": export.instances,
            "classes": len(export.categories),
            "half_reviewed": export.half_reviewed,
            "open": export.open,
            "left_out": "\n".join(export.left_out[:10]),
            "cut": "\n".join(export.cut[:10]),
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("path", label="Written to")
        outputs.int("images", label="Photographs")
        outputs.int("instances", label="Instances")
        outputs.int("classes", label="Classes")
        outputs.int("half_reviewed", label="Half-reviewed photographs left out")
        outputs.int("open", label="Undecided or nameless instances left out")
        for name, label in (
            ("left_out", "Left out for other reasons"),
            ("cut", "Cut at the image's edge"),
        ):
            if (ctx.results or {}).get(name):
                lines(outputs, name, label)
        return types.Property(outputs, view=types.View(label="Exported"))


def _asked(ctx: foo.ExecutionContext) -> tuple[Samples, list[str], ExportRequest]:
    """What is shown, the fields that may be exported, and the form, with the likely one of them."""
    samples = flat_target(ctx)
    patched = patched_fields(samples) if is_patches(samples) else None
    fields = patched or fields_of(samples, (fo.Detections,))
    likely = next((name for name in (_LIKELY, *fields) if name in fields), None)
    return samples, fields, ExportRequest.read(ctx.params, field=likely)


def _chosen(request: ExportRequest) -> dict[str, Any]:
    """What the form says of which instances are taken."""
    return {
        "undecided_above": request.undecided_above,
        "only_finished": not request.half_reviewed,
    }


def _told(counts: CleanCounts) -> str:
    p = counts.progress
    reviewed = f"{p.accepted:,} accepted, {p.renamed:,} renamed, {p.rejected:,} rejected"
    left_out = (
        f" {counted(counts.half_reviewed, 'half-reviewed photograph')} left out."
        if counts.half_reviewed
        else ""
    )
    return (
        f"{reviewed}, {p.open:,} undecided. The export will hold "
        f"{counted(counts.instances, 'instance')} on {counted(counts.images, 'photograph')}."
        f"{left_out}"
    )


def _nothing(counts: CleanCounts) -> str:
    if counts.half_reviewed:
        return (
            f"{counted(counts.half_reviewed, 'reviewed photograph')}, all with undecided instances "
            "too: finish one, or tick this"
        )
    return "nothing is accepted or renamed yet: review some in the OVSAM review panel"
