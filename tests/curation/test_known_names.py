"""Names to choose from."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.known_names import known_names
from ovsam_plugin.vocabulary.tables import built_in

FIELD = "ovsam"


@pytest.fixture
def recorded(labelled: fo.Dataset) -> fo.Dataset:
    """The labels as if a run with COCO's classes had made them."""
    coco = built_in("coco")
    config = labelled.init_run(
        method="ovsam/label", vocabulary=coco.name, vocabulary_hash=coco.hash
    )
    labelled.register_run(FIELD, config)
    return labelled


def test_names_in_the_field_come_before_the_rest_of_its_vocabulary(recorded: fo.Dataset) -> None:
    names = known_names(recorded, FIELD)
    assert names[:5] == ["cat", "cup", "dog", "person", "spoon"]
    assert (names[5], len(names), len(set(names))) == ("airplane", 80, 80)


def test_a_field_that_no_run_filled_offers_its_own_names(labelled: fo.Dataset) -> None:
    assert known_names(labelled, FIELD) == ["cat", "cup", "dog", "person", "spoon"]


def test_names_of_all_slices_are_offered(two_slices: fo.Dataset) -> None:
    assert known_names(two_slices, FIELD) == ["cat", "cup", "dog", "spoon"]
