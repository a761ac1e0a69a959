"""Form and call of `export_clean`."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.curation.clean_export import export_clean
from ovsam_plugin.curation.decisions import Progress, progress
from ovsam_plugin.dataset.targets import fields_of

from .form import FormOperator, flat_target, form_config, mark, menu

_FORMATS = {
    "coco": "COCO (one .json file)",
    "lvis": "LVIS (one .json file)",
    "fiftyone": "FiftyOne dataset (a folder)",
}


class ExportClean(FormOperator):
    """Writes reviewed instances as ground truth."""

    @property
    def config(self) -> foo.OperatorConfig:
        return form_config(
            "export_clean",
            "Export reviewed instances",
            "Accepted and renamed instances as clean ground truth: COCO, LVIS or FiftyOne",
        )

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        inputs = types.Object()
        samples = flat_target(ctx)
        fields = fields_of(samples, (fo.Detections,))
        field = ctx.params.get("field") or next(
            (f for f in ("ovsam", *fields) if f in fields), "ovsam"
        )
        menu(inputs, "field", fields, field, "Field")
        if field in fields:
            inputs.view("progress", types.Notice(label=_told(progress(samples, field))))
        chosen = ctx.params.get("format", "coco")
        menu(inputs, "format", _FORMATS, chosen, "Format")
        where = "a new folder" if chosen == "fiftyone" else "a .json file"
        inputs.str("path", required=True, label="Path", description=f"{where}, on the server")
        inputs.float(
            "undecided_above",
            min=0,
            max=1,
            label="Also undecided instances, from this confidence",
            description="none leaves them out",
        )
        inputs.bool("only_finished", default=False, label="Only images without open instances")
        inputs.bool("overwrite", default=False, label="Replace what is there")
        if not fields:
            mark(inputs, {"field": "this dataset has no field of instances: label it first"})
        return types.Property(inputs, view=types.View(label="Export reviewed instances"))

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        export = export_clean(
            flat_target(ctx),
            ctx.params["field"],
            ctx.params["path"],
            ctx.params.get("format", "coco"),
            undecided_above=ctx.params.get("undecided_above"),
            only_finished=ctx.params.get("only_finished", False),
            overwrite=ctx.params.get("overwrite", False),
        )
        return {
            "path": str(export.path),
            "images": export.images,
            "instances": export.instances,
            "classes": len(export.categories),
            "open": export.open,
            "left_out": "\n".join(export.left_out[:10]),
            "cut": "\n".join(export.cut[:10]),
        }

    def resolve_output(self, ctx: foo.ExecutionContext) -> types.Property:
        outputs = types.Object()
        outputs.str("path", label="Written to")
        outputs.int("images", label="Images")
        outputs.int("instances", label="Instances")
        outputs.int("classes", label="Classes")
        outputs.int("open", label="Undecided instances left out")
        outputs.str("left_out", label="Left out otherwise")
        outputs.str("cut", label="Cut at the image's edge")
        return types.Property(outputs, view=types.View(label="Exported"))


def _told(p: Progress) -> str:
    return f"{p.accepted} accepted, {p.renamed} renamed, {p.rejected} rejected, {p.open} undecided"
