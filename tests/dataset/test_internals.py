"""The private parts of FiftyOne that are used, each held against what it is used for."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.media as fom
import pytest
from bson import ObjectId
from fiftyone import ViewField as F
from fiftyone.core.models import Model

from ovsam_plugin.dataset import internals

ROOT = Path(__file__).resolve().parents[2]
READ_FROM = "1.22."
MAY = {
    f"ovsam_plugin/dataset/{name}.py"
    for name in ("internals", "handles", "samples_in_memory", "embedding_backend")
}
# Private by their underscore only: of namedtuples, of torch and of timm.
OTHERS = {"_replace", "_synsets", "_lemmas", "_definitions", "_foreach_lerp_", "_exit"}


def test_these_parts_were_read_from_this_version() -> None:
    assert internals.__doc__
    version = fo.__version__
    assert version.startswith(READ_FROM), (
        f"FiftyOne is {version} now: if the tests here pass, {READ_FROM[:-1]} may become it"
    )
    assert f"FiftyOne {READ_FROM}" in internals.__doc__


def private_parts(path: Path) -> set[str]:
    """Underscored attributes of other things than self, which the file itself does not make."""
    tree = ast.parse(path.read_text())
    own: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            used.add(node.attr)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("_LABEL"):
            used.add(str(node.value))
    private = {name for name in used if name.startswith("_") and not name.startswith("__")}
    return private - own - OTHERS


def test_no_other_module_touches_a_private_part() -> None:
    found = {}
    for folder in ("ovsam_plugin", "operators"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            outside = folder == "ovsam_plugin" and "network/" in name  # torch's own operators
            if name not in MAY and not outside and (parts := private_parts(path)):
                found[name] = parts
    assert found == {}


def test_a_dataset_and_its_views_are_told_apart(labelled: fo.Dataset) -> None:
    patches = labelled.to_patches("ovsam")
    view = labelled.limit(1)
    assert internals.root_of(labelled) is internals.root_of(view) is labelled
    assert internals.root_of(patches) is internals.dataset_of(view) is labelled
    assert internals.dataset_of(patches) is not labelled
    assert internals.is_generated(patches)
    assert internals.is_patches(patches)
    assert not internals.is_generated(view)
    assert internals.patched_fields(patches) == ["ovsam"]
    keys = [internals.photograph_key(one) for one in (labelled, view, patches)]
    assert keys == ["_id", "_id", "_sample_id"]
    grouped = labelled.group_by("filepath")
    assert internals.is_grouped_by_field(grouped)
    assert not internals.is_grouped_by_field(view)


def test_documents_and_rows_are_the_samples_(labelled: fo.Dataset) -> None:
    first = labelled.first()
    found = internals.sample_documents(labelled).find_one({"_id": ObjectId(first.id)})
    assert found is not None
    assert found["filepath"] == first.filepath
    shown = labelled.filter_labels("ovsam", F("label") == "cat")
    stages = [{"$project": {"n": {"$size": "$ovsam.detections"}}}]
    assert sum(row["n"] for row in internals.aggregate(shown, stages)) == 1
    own = internals.database().datasets.find_one({"_id": internals.dataset_id(labelled)})
    assert own is not None
    assert own["name"] == labelled.name
    assert internals.client().server_info()["version"]


def test_a_view_travels_as_its_stages(labelled: fo.Dataset) -> None:
    view = labelled.filter_labels("ovsam", F("label") == "cat")
    again = internals.view_of(labelled, internals.stages_of(view))
    assert again.values("ovsam.detections.id") == view.values("ovsam.detections.id")
    assert internals.stages_of(labelled) == []
    assert internals.view_of(labelled, []) is labelled
    labelled.save_view("cats", view)
    (stage,) = internals.stages_of_views(labelled)["cats"]
    assert "FilterLabels" in stage


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        (fo.Detections, "detections"),
        (fo.Polylines, "polylines"),
        (fo.Detection, None),
        (None, None),
    ],
)
def test_a_type_of_labels_tells_its_list(kind: Any, inner: str | None) -> None:
    assert internals.list_in(kind) == inner
    assert ("label" in internals.attributes_of(kind)) == (kind is fo.Detection)


def test_a_field_is_declared_with_all_below_it(labelled: fo.Dataset) -> None:
    internals.declare_like(labelled, "copy", labelled.get_field("ovsam").copy())
    labelled.reload()
    there = {path for path in labelled.get_field_schema(flat=True) if path.startswith("copy.")}
    assert "copy.detections.label" in there
    assert len(there) > 10


def test_fields_are_declared_at_once_as_they_are_one_by_one(labelled: fo.Dataset) -> None:
    one, several = labelled.clone(), labelled.clone()
    one.add_sample_field("ovsam.detections.sure", fo.FloatField, description="how sure")
    one.add_sample_field("ovsam.detections.tops", fo.ListField, subfield=fo.StringField)
    internals.declare_all(
        several,
        {
            "ovsam.detections.sure": fo.FloatField(description="how sure"),
            "ovsam.detections.tops": fo.ListField(field=fo.StringField()),
        },
    )

    def told(dataset: fo.Dataset) -> dict[str, str]:
        dataset.reload()
        schema = dataset.get_field_schema(flat=True)
        return {
            p: f"{f} {f.description} {f.read_only} {bool(f.created_at)}" for p, f in schema.items()
        }

    assert told(one) == told(several)
    assert several.get_field("ovsam.detections.sure").description == "how sure"
    for made in (one, several):
        made.delete()


def test_patches_are_made_anew(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    patches = labelled.to_patches("ovsam")
    before, stages = len(patches), internals.stages_of(patches)
    labelled.delete_labels(ids=[ids["cat"]], fields="ovsam")
    stale = internals.view_of(labelled, stages)
    assert len(stale) == before
    internals.refresh_patches(stale)
    assert len(internals.view_of(labelled, stages)) == before - 1


class Asking(Model):  # type: ignore[misc]
    """Says what it is applied to."""

    media_type = "image"
    ragged_batches = True
    transforms = None
    preprocess = False

    def __init__(self) -> None:
        self.told: Any = None

    def __enter__(self) -> Asking:
        self.told = internals.applied_to()
        return self

    def predict(self, arg: Any) -> fo.Classification:
        return fo.Classification(label="seen")


def test_a_model_knows_what_it_is_applied_to(labelled: fo.Dataset) -> None:
    view, model = labelled.limit(1), Asking()
    assert view.media_type == fom.IMAGE
    view.apply_model(model, label_field="said", progress=False)
    assert model.told == (view, "said")
    assert view.first()["said"].label == "seen"
    assert internals.applied_to() is None
    with model:
        assert model.told is None
