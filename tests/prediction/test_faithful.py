"""The published evaluation to the letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ovsam_plugin.prediction import faithful
from ovsam_plugin.recognition.fusion import Fusion, fuse

UNITS = Path(__file__).parents[1] / "golden" / "units.npz"


@pytest.mark.parametrize("case", ["bn", "nobn"])
def test_fusion_is_the_references_where_that_is_a_number(case: str) -> None:
    units = np.load(UNITS)
    q, c = (torch.from_numpy(units[f"fuse_{k}"])[:, 0] for k in "qc")
    valid = torch.from_numpy(units["fuse_valid"])
    groups = torch.from_numpy(units["fuse_indicator"])
    split = groups if case == "bn" else None
    seen = (groups == faithful.BASE) if case == "bn" else torch.zeros(12, dtype=torch.bool)
    golden = torch.from_numpy(units[f"fuse_{case}"])[:, 0]
    reference = faithful.fuse(q, c, valid, split, Fusion())
    assert torch.equal(torch.isnan(reference), torch.isnan(golden))
    number = ~torch.isnan(golden)
    torch.testing.assert_close(reference[number], golden[number], atol=5e-4, rtol=0)
    # Without the oddities: the same wherever the reference neither underflows nor forbids a class.
    ours = fuse(q, c, seen, ~valid, Fusion())
    plain = torch.isfinite(golden) & (golden > -50) & number.all(1, keepdim=True)
    assert plain.sum() > 20
    torch.testing.assert_close(ours[plain], golden[plain], atol=5e-4, rtol=1e-4)
    assert torch.isfinite(ours).all()


def test_nan_rows_of_the_reference_answer_class_zero_and_ours_do_not_arise() -> None:
    units = np.load(UNITS)
    q, c = (torch.from_numpy(units[f"fuse_{k}"])[:, 0] for k in "qc")
    valid = torch.from_numpy(units["fuse_valid"])
    fused = faithful.fuse(q, c, valid, None, Fusion())
    labels = fused.softmax(-1)[:, :-1].argmax(-1)
    np.testing.assert_array_equal(labels.numpy(), units["fuse_nobn_labels"])
