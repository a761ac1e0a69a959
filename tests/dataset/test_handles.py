"""Handles of datasets that another process changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset, remove_run, search
from ovsam_plugin.curation.decisions import progress
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.targets import root_dataset

ROOT = Path(__file__).resolve().parents[2]


def elsewhere(dataset: fo.Dataset, code: str) -> None:
    """Runs code in another process, where `ds` is the dataset."""
    if not dataset.persistent:  # setting it saves the handle
        dataset.persistent = True
    start = f"import fiftyone as fo; ds = fo.load_dataset({dataset.name!r}); {code}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", start], check=True, env=env, cwd=ROOT)


def test_fields_runs_views_and_settings_of_another_process_are_seen_and_views_stay_valid(
    dataset: fo.Dataset,
) -> None:
    dataset.add_sample_field("old", fo.StringField)
    view, sample = dataset.limit(2), dataset.first()
    elsewhere(
        dataset,
        "ds.add_sample_field('new', fo.FloatField); ds.register_run('r', ds.init_run(a=1)); "
        "ds.save_view('v', ds.limit(1)); ds.description = 'told'; ds.save(); "
        "ds.delete_sample_field('old'); ds.set_values('new', [1.0, 2.0, 3.0])",
    )
    assert dataset.get_field("new") is None
    assert root_dataset(view) is dataset
    assert isinstance(dataset.get_field("new"), fo.FloatField)
    assert dataset.get_field("old") is None
    assert (dataset.list_runs(), dataset.list_saved_views()) == (["r"], ["v"])
    assert dataset.description == "told"
    assert view.values("new") == [1.0, 2.0]
    assert sample["new"] is None  # the sample's own values are the holder's business
    sample.reload()
    assert sample["new"] == 1.0


def test_what_is_not_saved_yet_stays_on_the_dataset_and_its_samples(dataset: fo.Dataset) -> None:
    dataset.persistent = True
    sample = dataset.first()
    sample.tags.append("mine")
    dataset.info["mine"] = 1
    elsewhere(dataset, "ds.info['theirs'] = 2; ds.tags = ['told']; ds.save()")
    as_stored(dataset)
    assert (dataset.info, dataset.tags, sample.tags) == ({"mine": 1}, ["told"], ["mine"])
    sample.save()
    assert dataset.match_tags("mine").values("id") == [sample.id]


def test_results_that_another_process_saved_anew_are_not_taken_from_the_cache(
    dataset: fo.Dataset,
) -> None:
    dataset.register_run("r", dataset.init_run())
    dataset.save_run_results("r", dataset.init_run_results("r", value=1))
    assert dataset.load_run_results("r").value == 1
    elsewhere(dataset, "ds.save_run_results('r', ds.init_run_results('r', value=2))")
    assert dataset.load_run_results("r").value == 1
    assert as_stored(dataset).load_run_results("r").value == 2


def test_a_dataset_that_another_process_deleted_is_told(dataset: fo.Dataset) -> None:
    elsewhere(dataset, "ds.delete()")
    with pytest.raises(ValueError, match="has been deleted"):
        root_dataset(dataset)


def test_decisions_made_elsewhere_count_and_a_run_removed_elsewhere_is_gone(
    named: fo.Dataset,
) -> None:
    elsewhere(
        named,
        "from ovsam_plugin.curation import decisions; "
        "decisions.accept(ds, 'ovsam', ds.values('ovsam.detections.id')[0])",
    )
    assert progress(named, "ovsam").accepted == 3
    elsewhere(named, "import ovsam_plugin; ovsam_plugin.setup_workspace(ds)")
    traces = remove_run(named, "ovsam")
    assert len(traces.views) > 0
    assert named.list_saved_views() == named.list_runs() == []


def test_searching_and_labelling_keep_unsaved_edits_and_show_what_they_wrote(
    named: fo.Dataset,
) -> None:
    first, last = named.first(), named.last()
    first.tags.append("mine")
    first["ovsam"].detections[0].label = "tabby"
    search(named, "a cat", k=1)
    asked = {"box_field": "asks", "vocabulary": "cat, cup", "label_field": "again"}
    label_dataset(named, device="cpu", workers=0, progress=False, **asked)
    assert (first.tags, first["ovsam"].detections[0].label) == (["mine"], "tabby")
    assert len(last["again"].detections) == 3
    assert len(first["again"].detections) == 3
    assert named.count("again.detections") == 9
    first.save()
    assert named.match_tags("mine").values("ovsam.detections.label")[0][0] == "tabby"


def test_a_run_registered_elsewhere_is_not_registered_anew(dataset: fo.Dataset) -> None:
    box = fo.Detections(detections=[fo.Detection(bounding_box=[0.2, 0.2, 0.6, 0.6])])
    dataset.set_values("asks", [box.copy() for _ in range(3)])
    asked = "box_field='asks', device='cpu', workers=0, progress=False"
    elsewhere(
        dataset, f"import ovsam_plugin; ovsam_plugin.label_dataset(ds, vocabulary=['cat'], {asked})"
    )
    with pytest.raises(ValueError, match="made with other settings"):
        label_dataset(dataset, vocabulary=["dog"], box_field="asks", device="cpu", workers=0)
    recorded = runs.recorded_vocabulary(dataset, "ovsam")
    assert recorded is not None
    assert recorded.names == ("cat",)


def test_what_has_not_changed_is_not_read_again(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_stored(dataset)
    document = type(dataset._doc)
    read: list[str] = []
    reload = document.reload
    monkeypatch.setattr(document, "reload", lambda self, *n: read.append("") or reload(self, *n))
    as_stored(dataset)
    assert read == []
    dataset.add_sample_field("mine", fo.StringField)
    as_stored(dataset)
    assert read != []
    read.clear()
    dataset.set_values("mine", ["a", "b", "c"])  # of samples
    as_stored(dataset)
    assert read == []
