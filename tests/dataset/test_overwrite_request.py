"""Consent that a form asks for."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import pytest

from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.dataset.overwrite_request import OverwriteRequest
from ovsam_plugin.dataset.targets import Samples


@dataclass(frozen=True, kw_only=True)
class Request(OverwriteRequest):
    """A form that writes to one field."""

    into: str | None = "ovsam"

    def target_field(self, samples: Samples) -> str | None:
        return self.into


@pytest.mark.parametrize(
    ("params", "consent"),
    [
        ({}, False),
        ({"overwrite": True}, True),
        ({"overwrite": True, "overwrite_all": True}, "all"),
        ({"overwrite_all": True}, False),  # a box that is not shown
        ({"overwrite": "all"}, "all"),
    ],
)
def test_consent_is_what_both_boxes_say(params: dict[str, object], consent: object) -> None:
    assert Request.read(params).consent() == consent


def test_only_a_person_s_work_is_at_stake_and_only_when_it_would_go(named: fo.Dataset) -> None:
    replacing = Request(overwrite=True)
    assert replacing.at_stake(named) is None
    replacing.check_consent(named)
    accept(named, "ovsam", named.first()["ovsam"].detections[0].id)
    found = replacing.at_stake(named)
    assert found is not None
    assert found.decided == 1
    assert Request().at_stake(named) is None
    assert Request(overwrite=True, into=None).at_stake(named) is None
    with pytest.raises(
        ValueError, match="field 'ovsam' holds labels .*1 that a person decided.*tick"
    ):
        replacing.check_consent(named)
    Request(overwrite=True, overwrite_all=True).check_consent(named)
