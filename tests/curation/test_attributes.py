"""What curation declares on labels."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.attributes import ATTRIBUTES, DECISION, SCORES, declare
from ovsam_plugin.dataset.fields import declare_fields


def test_every_attribute_is_declared_with_its_type_and_meaning(dataset: fo.Dataset) -> None:
    declare_fields(dataset, "ovsam")
    declare(dataset, "ovsam")
    for attribute in ATTRIBUTES:
        field = dataset.get_field(f"ovsam.detections.{attribute.name}")
        assert type(field) is attribute.kind
        assert field.description == attribute.description
    assert len({a.name for a in (*SCORES, *DECISION)}) == 10


def test_declaring_again_keeps_what_a_person_wrote_about_an_attribute(dataset: fo.Dataset) -> None:
    declare_fields(dataset, "ovsam")
    declare(dataset, "ovsam")
    field = dataset.get_field("ovsam.detections.doubt")
    field.description = "mine"
    field.save()
    declare(dataset, "ovsam")
    assert dataset.get_field("ovsam.detections.doubt").description == "mine"


@pytest.mark.parametrize(
    ("field", "message"),
    [("ovsma", "there is no field 'ovsma'; need Detections: there is 'ovsam'"),
     ("filepath", "holds StringField, need Detections")],
)  # fmt: skip
def test_a_field_that_holds_no_instances_is_refused(
    dataset: fo.Dataset, field: str, message: str
) -> None:
    declare_fields(dataset, "ovsam")
    with pytest.raises(ValueError, match=message):
        declare(dataset, field)


def test_an_attribute_of_another_type_is_refused_before_anything_is_declared(
    dataset: fo.Dataset,
) -> None:
    declare_fields(dataset, "ovsam")
    dataset.add_sample_field("ovsam.detections.review", fo.BooleanField)
    with pytest.raises(ValueError, match="'review' of 'ovsam' holds BooleanField"):
        declare(dataset, "ovsam")
    assert dataset.get_field("ovsam.detections.doubt") is None
