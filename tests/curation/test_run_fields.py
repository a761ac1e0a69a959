"""The fields of runs."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.run_fields import require_run, run_fields
from tests.curation.run_by_hand import add_run


def test_the_first_run_s_field_comes_first_and_deleted_ones_are_gone(dataset: fo.Dataset) -> None:
    assert run_fields(dataset) == []
    for field in ("lvis", "coco", "ovsam"):
        add_run(dataset, field)
    dataset.clone_sample_field("ovsam", "mine")  # no run of ours filled it
    assert run_fields(dataset)[0] == "ovsam"
    assert sorted(run_fields(dataset)) == ["coco", "lvis", "ovsam"]
    dataset.delete_sample_field("lvis")
    assert run_fields(dataset.limit(1)) == ["ovsam", "coco"]


def test_a_run_is_there_also_for_who_may_do_without_its_field(dataset: fo.Dataset) -> None:
    add_run(dataset)
    require_run(dataset, "ovsam")
    dataset.delete_sample_field("ovsam")
    require_run(dataset, "ovsam", gone=True)
    with pytest.raises(ValueError, match="labels of run 'ovsam' have been deleted"):
        require_run(dataset, "ovsam")


def test_a_renamed_field_is_refused_with_the_way_back(dataset: fo.Dataset) -> None:
    add_run(dataset)
    dataset.rename_sample_field("ovsam", "other")
    back = r"dataset\.rename_sample_field\('other', 'ovsam'\)"
    with pytest.raises(
        ValueError, match=f"not in field 'ovsam', and seem to be in 'other'.*{back}"
    ):
        require_run(dataset, "ovsam", gone=True)
    with pytest.raises(ValueError, match=f"no labelling run is recorded for field 'other'.*{back}"):
        require_run(dataset, "other")


def test_a_field_of_others_and_one_that_is_not_there_are_refused(dataset: fo.Dataset) -> None:
    add_run(dataset)
    dataset.clone_sample_field("ovsam", "mine")
    with pytest.raises(ValueError, match="recorded for field 'mine'.*a cloned field, have none"):
        require_run(dataset, "mine")
    with pytest.raises(ValueError, match="there is no field 'ovsm': there is 'ovsam'"):
        require_run(dataset, "ovsm")
