"""The network's numbers are the reference's, in both sizes and every mode."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import parity

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture(scope="module")
def golden() -> parity.Golden:
    return parity.Golden(GOLDEN)


@pytest.mark.parametrize("model", ["RN50", "RN50x16"])
def test_every_golden_tensor_of_a_model_is_inside_its_tolerance(
    golden: parity.Golden, model: str
) -> None:
    cases = [case for case in golden.cases if case["model"] == model]
    results = list(parity.compare_features(golden, model, "a"))
    for case in cases:
        results.extend(parity.compare_case(golden, case))
    assert {r.case for r in results} == {f"{model}/a", *(case["id"] for case in cases)}
    assert len(results) > 20 * len(cases)
    assert [r for r in results if not r.passed] == []


def test_a_difference_beyond_the_tolerance_is_reported() -> None:
    golden = np.zeros(3)
    assert parity.compare("c", "t", golden + 4e-5, golden, "mask").passed
    assert not parity.compare("c", "t", golden + 6e-5, golden, "mask").passed
    assert not parity.compare("c", "t", np.array([0.0, np.nan, 0.0]), golden, "mask").passed


def test_a_changed_weight_fails_the_check(golden: parity.Golden) -> None:
    network = golden.predictor("RN50").network
    bias = network.neck.neck[3].bias.data
    golden._encodings.clear()
    bias += 1e-3
    try:
        results = list(parity.compare_features(golden, "RN50", "a"))
    finally:
        bias -= 1e-3
        golden._encodings.clear()
    assert {r.tensor for r in results if not r.passed} >= {"neck", "neck slice"}


def test_an_unknown_case_is_refused_with_the_known_ones(golden: parity.Golden) -> None:
    with pytest.raises(ValueError, match="RN50x16_points"):
        next(parity.compare_all(golden, "no-such-case"))


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cases.json"):
        parity.Golden(tmp_path)


def test_cases_of_several_points_a_prompt_are_read(tmp_path: Path, golden: parity.Golden) -> None:
    """The tokens of two points are those of each alone, then one padding token."""
    case = next(c for c in golden.cases if c["id"] == "RN50_points")
    z = dict(golden.arrays(case["file"]))
    single = z["point_coords"]
    z["point_coords"] = np.concatenate([single, single[::-1]], axis=1)
    z["point_labels"] = np.array([[1, 0]] * len(single))
    np.savez(tmp_path / case["file"], **z)
    for name in ("feat_RN50_a.npz", "feat_RN50x16_a.npz", "base_novel.json"):
        shutil.copy(GOLDEN / name, tmp_path / name)
    (tmp_path / "cases.json").write_text(json.dumps(golden.index))
    changed = parity.Golden(tmp_path)
    changed._predictors, changed._encodings = golden._predictors, golden._encodings
    with pytest.raises(
        ValueError, match=r"prompt tokens: shape \(7, 3, 256\), golden \(7, 2, 256\)"
    ):
        list(parity.compare_case(changed, case))
