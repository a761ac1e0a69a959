"""Malformed forms and files where labels of a person are: none of these is lost or changed.

`fuzz.py` runs these kinds too. A form is what the App sends to an operator of the plugin; whatever
is in it, the form itself is drawn, and the operator does what it says or says why not in words.
"""

from __future__ import annotations

import copy
import inspect
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bson
import fiftyone as fo
import numpy as np
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

import operators
from benchmarks.fuzz import ODD, ROOT, Chance, damaged, damaged_json
from ovsam_plugin import decisions, import_labels
from ovsam_plugin.curation.attributes import SCORES, declare
from ovsam_plugin.curation.review_panel import open_review
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.annotations import read_annotations
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.dataset.importing import attach_prompts
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.dataset.provenance import DECISION, KEY
from ovsam_plugin.vocabulary import load_vocabulary

FIELDS = ("truth", "ovsam")
SIZE = (48, 64)
_DECIDED = {"label", *(attribute.name for attribute in DECISION)}

# What a label has of itself, and no evaluation may touch.
_MADE = {"_id", "_cls", "bounding_box", "mask", "confidence", "tags", *_DECIDED}

Labels = dict[tuple[str, str], dict[str, Any]]
Change = Callable[[str, str], bool]
"""Of an operator that did what it was asked: whether it may change a field's attribute."""

MAY_CHANGE: dict[str, Change] = {
    **dict.fromkeys(("decide", "name_group", "review_act"), lambda _, name: name in _DECIDED),
    "segment_change": lambda field, _: True,
    "score": lambda _, name: name in {attribute.name for attribute in SCORES},
    "evaluate": lambda _, name: name not in _MADE,
    "remove_run": lambda field, _: field == "ovsam",
}

# What would take a model's time is done only where it is sure to be refused: where the form says
# so, or where what a script asks is about no photograph.
FORM_SAYS = ("label", "recognize")
ASKS_A_MODEL = ("try_labels", "segment_look", "segment_ask", "segment_ahead")

_NAMES = {"vocabulary": "names", "names": "cat, cup"}
_ASKED: dict[str, Any] = {"field": "ovsam", "sample_id": "SAMPLE", "label_id": "LABEL"}
SOUND: dict[str, dict[str, Any]] = {
    "label": {**_NAMES, "prompts": "box", "prompt_field": "truth", "preset": "ovsam-lite",
              "field": "new", "overwrite": True, "overwrite_all": False, "min_confidence": 0.2},
    "evaluate": {"pred_field": "ovsam", "gt_field": "truth", "protocol": "everything",
                 "split": "none", "vocabulary": "auto", "iou": 0.5, "resize_masks": True,
                 "eval_key": "e", "compare": "none", "slice_by": "tags"},
    "relabel": {**_NAMES, "field": "ovsam", "into": "new", "min_confidence": 0.1,
                "overwrite": True},
    "recognize": {**_NAMES, "field": "truth", "into": "ovsam", "fill": True, "overwrite": True,
                  "preset": "ovsam-lite", "namer": "openclip:x/y", "cuts": "0.1:0.5"},
    "score": {"field": "ovsam", "share": 0.5},
    "learn": {"field": "ovsam", "into": "new", "overwrite": True, "estimate": True},
    "make_class": {"field": "ovsam", "name": "valve", "words": True, "into": "new"},
    "find_instances": {"kind": "doubtful", "field": "ovsam", "by": "confidence", "percent": 5,
                       "fewer_than": 3, "group": "1", "other": "truth", "eval_key": "e",
                       "min_score": 0.1, "patches": True},
    "name_group": {"field": "ovsam", "group": "1", "name": "cat"},
    "decide": {"decision": "rename", "what": "labels", "field": "ovsam", "name": "fox",
               "eval_key": "e"},
    "export_clean": {"field": "ovsam", "format": "coco", "path": "PATH", "overwrite": True,
                     "undecided_above": 0.5, "half_reviewed": True},
    "setup_workspace": {"field": "ovsam", "colour_by": "label"},
    "remove_run": {"field": "ovsam", "confirmed": True},
    "stop_labeling": {"field": "ovsam"},
    "try_labels": {"form": {**_NAMES, "prompts": "box", "prompt_field": "truth"}},
    "review_open": {"field": "ovsam", "order": "doubt", "by": "ada"},
    "review_act": {"session": "SESSION", "by": "ada",
                   "actions": [{"kind": "accept", "labels": ["LABEL"]}]},
    "review_picture": _ASKED,
    "review_together": _ASKED,
    "segment_open": {"sample_id": "SAMPLE"},
    "segment_look": {"sample_id": "SAMPLE", "field": "ovsam"},
    "segment_ask": {"sample_id": "SAMPLE", "kind": "prompt", "vocabulary": "cat,",
                    "asked": {"box": [1, 2, 30, 40]}},
    "segment_change": {"sample_id": "SAMPLE", "action": "rename", "asked": {
        "field": "ovsam", "label_id": "LABEL", "name": "fox", "by": "ada"}},
    "segment_ahead": {"sample_id": "SAMPLE"},
}  # fmt: skip


class Workbench:
    """A dataset whose labels a person drew, corrected and decided about; some photographs are
    broken. What a case changes is there again for the next one."""

    def __init__(self, folder: Path) -> None:
        self._sound = _dataset(folder)
        self.before = labels_of(self._sound)
        self.dataset = self._sound.clone()
        self.session = open_review(self.dataset, {"field": "ovsam"})["session"]
        self.fields = set(self.dataset.get_field_schema(flat=True))

    def again(self) -> None:
        """As it was."""
        self.dataset.delete()
        self.dataset = self._sound.clone()

    def close(self) -> None:
        """Takes it away."""
        self.dataset.delete()
        self._sound.delete()

    def changed(self, may: Change | None) -> list[str]:
        """What is not as it was, and may not be so."""
        after = labels_of(self.dataset)
        found = []
        for (field, label_id), label in self.before.items():
            now = after.get((field, label_id))
            if now is None:
                if may is None or not may(field, "*"):
                    found.append(f"{field} {label_id} is gone")
                continue
            for name in label.keys() | now.keys():
                same = bson.encode({"v": label.get(name)}) == bson.encode({"v": now.get(name)})
                if not same and (may is None or not may(field, name)):
                    found.append(f"{field} {label_id}: {name}")
        return found


def labels_of(dataset: fo.Dataset) -> Labels:
    """All labels of `FIELDS` as the database has them, by field and id."""
    found: Labels = {}
    for row in sample_documents(dataset).find({}, dict.fromkeys(FIELDS, True)):
        for field in FIELDS:
            for label in (row.get(field) or {}).get("detections") or ():
                found[field, str(label["_id"])] = label
    return found


def _dataset(folder: Path) -> fo.Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    made = fo.Dataset()
    for number in range(4):
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        if number == 2:
            path.write_bytes(path.read_bytes()[:200])
        elif number == 3:
            path.write_bytes(b"")
        sample = fo.Sample(filepath=str(path), tags=["a" if number % 2 else "b"])
        for field in FIELDS:
            sample[field] = fo.Detections(detections=[_label(field, n) for n in range(3)])
        made.add_sample(sample)
    declare_fields(made, "ovsam")
    declare(made, "ovsam")
    settings = runs.Settings(
        preset="ovsam-lite", weights="w", vocabulary="coco", vocabulary_hash="h"
    )
    runs.register(made, "ovsam", settings, load_vocabulary("cat, cup, dog"))
    one, two, *_ = made.first()["ovsam"].detections
    decisions.accept(made, "ovsam", one.id, by="ada")
    decisions.rename(made, "ovsam", two.id, "otter", by="ada")
    made.reload()
    return made


def _label(field: str, number: int) -> fo.Detection:
    mask = np.tri(12, 16, dtype=bool)
    run = {"prompt_type": "everything", "confidence": 0.2 + 0.3 * number, "margin": 0.1,
           "group": 1, "unknown": 0.9} if field == "ovsam" else {}  # fmt: skip
    name, box = ("cat", "cup", "dog")[number], [0.1 * number, 0.1, 0.25, 0.25]
    return fo.Detection(label=name, bounding_box=box, mask=mask, **run)


_benches: dict[str, Workbench] = {}


def workbench(folder: Path) -> Workbench:
    """The one of a run of cases, whose folders lie in one."""
    place = folder.parent / "labels"
    if str(place) not in _benches:
        place.mkdir(exist_ok=True)
        _benches[str(place)] = Workbench(place)
    return _benches[str(place)]


def close() -> None:
    """Takes away all that cases worked on."""
    for bench in _benches.values():
        bench.close()
    _benches.clear()


def operator_forms(chance: Chance, folder: Path) -> None:
    """An operator that is given anything is drawn, does what it says, or says why not."""
    bench = workbench(folder)
    kinds = {each().name: each for each in operators.OPERATORS}
    name = chance.choice(sorted(kinds))
    operator = kinds[name]()
    label_field, label_id = chance.choice(sorted(bench.before))
    known = {"SAMPLE": str(bench.dataset.first().id), "LABEL": label_id,
             "PATH": str(folder / "clean.json"), "SESSION": bench.session}  # fmt: skip
    params = _misfilled(chance, _known(SOUND.get(name, {}), known), folder)
    request: dict[str, Any] = {"dataset_name": bench.dataset.name, "params": params}
    if chance.random() < 0.5:
        request["selected_labels"] = [{"label_id": label_id, "field": label_field}]
    form = _drawn(operator, request)
    told = json.dumps(form.to_json(), default=str) if form is not None else ""
    if name in FORM_SAYS and '"invalid": true' not in told:
        return
    if name in ASKS_A_MODEL and (params.get("sample_id") == known["SAMPLE"] or "form" in params):
        return
    refused = _executed(operator, request)
    changed = bench.changed(None if refused else MAY_CHANGE.get(name))
    if not refused or changed:
        bench.again()
    assert not changed, f"{name} {request['params']!r}: {changed[:3]}"


def _drawn(operator: Any, request: dict[str, Any]) -> Any:
    """The form; it is drawn again at each key, so that it has to stand whatever is in it."""
    ctx = ExecutionContext(copy.deepcopy(request), operator_uri=f"@ovsam/curation/{operator.name}")
    try:
        return operator.resolve_input(ctx)
    except Exception as error:
        raise RuntimeError(f"the form of {operator.name}, {request['params']!r}") from error


def _executed(operator: Any, request: dict[str, Any]) -> bool:
    """Whether the operator refused, with a reason that somebody wrote."""
    uri = f"@ovsam/curation/{operator.name}"
    ctx = ExecutionContext(copy.deepcopy(request), executor=Executor(), operator_uri=uri)
    try:
        done = operator.execute(ctx)
        if inspect.isgenerator(done):
            done = list(done) and None
    except (ValueError, TypeError, OSError) as error:
        if not str(error).strip() or not _is_written(error):
            raise RuntimeError(f"{operator.name} {request['params']!r}") from error
        return True
    except Exception as error:
        raise RuntimeError(f"{operator.name} {request['params']!r}") from error
    return isinstance(done, dict) and bool(done.get("problem") or done.get("error"))


def _is_written(error: Exception) -> bool:
    """Whether it is raised on purpose; what Python says of a slip of ours is not for a person."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = last.filename.startswith(str(ROOT)) and "site-packages" not in last.filename
    return not ours or (last.line or "").startswith("raise")


def _known(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {k: _known(v, known) for k, v in value.items()}
    if isinstance(value, list):
        return [_known(v, known) for v in value]
    return known.get(value, value) if isinstance(value, str) else value


def _misfilled(chance: Chance, params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A form some of whose answers are odd, missing, or of another question."""
    names = ("truth", "ovsam", "missing", "tags", "metadata", "coco", "file", "field", "box",
             "find", "lvis", "undo", "reject", str(folder), "ovsam.detections.label", "a.b",
             "$where", "<b>", "_id", "cat, dog", 1, 0.5, True)  # fmt: skip

    def odd() -> Any:
        return copy.deepcopy(chance.choice(ODD) if chance.random() < 0.5 else chance.choice(names))

    def walk(value: Any, share: float) -> Any:
        if chance.random() < share:
            return odd()
        if isinstance(value, dict):
            return {k: walk(v, share) for k, v in value.items() if chance.random() > share / 2}
        if isinstance(value, list):
            return [walk(v, share) for v in value]
        return value

    made = {k: walk(v, 0.3) for k, v in params.items() if chance.random() > 0.1}
    return made | {chance.choice(["unknown", *params]): odd()}


def imports(chance: Chance, folder: Path) -> None:
    """A damaged file comes in as labels or asks, or is refused; what was there stays."""
    bench = workbench(folder)
    path = folder / "file.json"
    whole = chance.random() < 0.6
    path.write_bytes(damaged_json(chance, _instances() if whole else _rows()))
    if chance.random() < 0.1:
        path.write_bytes(damaged(chance, path.read_bytes()))
    field = chance.choice(["new", "new", "new", "truth", "ovsam", "filepath"])
    try:
        if whole and chance.random() < 0.5:
            source = chance.choice(("box", "center-point"))
            asked = read_annotations(path, source, crowds=chance.random() < 0.5)
            missing = chance.choice((None, folder))
            overwrite = chance.random() < 0.3
            attach_prompts(
                bench.dataset, asked, label_field=field, missing_in=missing, overwrite=overwrite
            )
        else:
            import_labels(bench.dataset, path, label_field=field)
    finally:
        changed = bench.changed(None)
        if changed or set(bench.dataset.get_field_schema(flat=True)) != bench.fields:
            bench.again()
        assert not changed, changed[:3]


def _rows() -> list[dict[str, Any]]:
    return [{**each, "file_name": f"{each['image_id'] - 1}.png"} for each in _annotations()]


def _annotations() -> Iterator[dict[str, Any]]:
    told = {"model": "ovsam-lite", "weights_sha256": "0" * 64, "prompt_type": "box",
            "review": "accepted", "reviewed_by": "ada", "reviewed_at": "2026-01-02T03:04:05Z",
            "predicted_label": "dog"}  # fmt: skip
    for number in range(4):
        yield {
            "id": number + 1, "image_id": 1 + number % 3, "category_id": 1 + number % 2,
            "category_name": "cat", "bbox": [1, 2, 8, 9], "area": 72, "iscrowd": number // 3,
            "segmentation": {"size": list(SIZE), "counts": [100, 20, 2952]}, "score": 0.5,
            "objectness": 0.5, "confidence": 0.4, "margin": 0.1, "top_labels": ["cat", "dog"],
            "top_scores": [0.4, 0.3], KEY: told,
        }  # fmt: skip


def _instances() -> dict[str, Any]:
    height, width = SIZE
    return {
        "images": [
            {"id": n + 1, "file_name": f"{n}.png", "width": width, "height": height}
            for n in range(4)
        ],
        "annotations": list(_annotations()),
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
