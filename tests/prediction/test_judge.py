from __future__ import annotations

import pytest
import torch

from ovsam_plugin.prediction.judge import BY_STABILITY, Judge, logit, surer_rival
from ovsam_plugin.presets import PRESETS

LOW, MIDDLE, HIGH = 0.2, 0.5, 0.9
EVEN = torch.tensor([LOW, MIDDLE, HIGH])
KINDS = ("thing", "quality", "likely", "stability")


def test_log_odds_of_nothing_and_of_certainty_are_numbers() -> None:
    found = logit(torch.tensor([0.0, 0.5, 1.0]))
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert found[1] == 0
    assert found[0] == pytest.approx(-found[2].item(), rel=1e-2)
    assert logit(EVEN).tolist() == pytest.approx([-1.386294, 0, 2.197225], abs=1e-5)
    assert logit(EVEN.half()).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_one_on_one_kind_of_evidence_is_that_evidence(kind: str) -> None:
    found = Judge(**{kind: 1.0})(**{kind: EVEN})
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, EVEN)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_evidence_is_weighed_by_its_own_weight(kind: str) -> None:
    judge = Judge(bias=0.3, thing=0.5, quality=0.7, likely=1.1, stability=1.3, agreement=1.7)
    half = dict.fromkeys(KINDS, torch.tensor([MIDDLE]))
    agreement = torch.zeros(1)
    before = logit(judge(**half, agreement=agreement))
    assert before == pytest.approx(0.3, abs=1e-5)
    after = logit(judge(**{**half, kind: torch.tensor([HIGH])}, agreement=agreement))
    assert (after - before).item() == pytest.approx(getattr(judge, kind) * 2.197225, abs=1e-4)
    agreed = logit(judge(**half, agreement=torch.tensor([0.5])))
    assert (agreed - before).item() == pytest.approx(0.85, abs=1e-4)


def test_evidence_that_is_not_there_or_has_no_weight_says_nothing() -> None:
    judge = Judge(bias=0.4, thing=0.7, likely=0.3)
    both = judge(thing=EVEN, likely=EVEN, quality=EVEN, stability=1 - EVEN)
    torch.testing.assert_close(both, judge(thing=EVEN, likely=EVEN))
    torch.testing.assert_close(logit(judge(thing=EVEN)), 0.4 + 0.7 * logit(EVEN))


def test_where_all_evidence_says_nothing_the_bias_remains_for_each_answer() -> None:
    found = Judge(bias=1.0)(stability=EVEN)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx([0.731059] * 3, abs=1e-5)
    assert Judge(thing=1.0)(quality=EVEN.double()).dtype == torch.float32


def test_of_no_answer_there_is_no_objectness() -> None:
    none = torch.zeros(0)
    for judge in (BY_STABILITY, Judge(), Judge(thing=0.7, likely=0.3)):
        assert judge(thing=none, likely=none, stability=none).shape == (0,)
        assert judge.with_names(none, none).shape == (0,)


def test_what_is_likely_a_thing_of_no_name_becomes_less_sure() -> None:
    judge = Judge(foreground=0.5)
    sure = torch.full((3,), 0.6)
    background = torch.tensor([0.1, 0.5, 0.95])
    found = judge.with_names(sure, background)
    assert found[0] > found[1] > found[2]
    assert found[1] == pytest.approx(0.6)
    assert logit(found)[0] == pytest.approx(logit(sure)[0].item() + 0.5 * 2.197225, abs=1e-4)
    assert torch.equal(Judge(thing=1.0).with_names(sure, background), sure)
    assert torch.isfinite(judge.with_names(sure, torch.tensor([0.0, 1.0, 1.0]))).all()


def test_by_stability_sams_own_threshold_with_half_the_points_agreeing_is_even() -> None:
    stable, agreed = torch.tensor([0.95, 0.99, 0.8]), torch.full((3,), 0.5)
    found = BY_STABILITY(stability=stable, agreement=agreed)
    assert found[0] == pytest.approx(0.5, abs=0.02)
    assert found[1] > 0.8
    assert found[2] < 0.2
    assert BY_STABILITY(stability=stable, agreement=torch.ones(3))[0] > 0.7


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_judge_by_what_its_network_says(name: str) -> None:
    preset = PRESETS[name]
    known = {"stability": EVEN, "quality": EVEN}
    if preset.network.region_masks:
        known["thing"] = EVEN
    proposed = {"likely": EVEN} if preset.network.objectness else {"agreement": EVEN}
    for judged in (preset.asked(**known), preset.found(**known, **proposed)):
        assert (judged.diff() > 0).all()
    assert 0 < preset.min_objectness < 1


def test_an_answer_is_less_likely_by_as_much_as_a_rival_is_surer() -> None:
    iou = torch.tensor([[1, 0.6, 0.3], [0.6, 1, 0], [0.3, 0, 1]])
    alone = torch.tensor([2.0, 0.5, 1.0])  # the last one shows something else
    assert surer_rival(alone, iou).tolist() == pytest.approx([0, 1.5, 0])
    judge = Judge(likely=1.0, rival=2.0)
    beside = logit(judge.beside(alone.sigmoid(), iou))
    assert beside.tolist() == pytest.approx([2.0, 0.5 - 2 * 1.5, 1.0], abs=1e-4)
    torch.testing.assert_close(Judge(likely=1.0).beside(alone.sigmoid(), iou), alone.sigmoid())


def test_the_surest_of_many_rivals_counts_and_nobody_is_its_own() -> None:
    alone = torch.randn(9, generator=torch.Generator().manual_seed(3))
    apart = torch.eye(9)
    assert not surer_rival(alone, apart).any()
    torch.testing.assert_close(surer_rival(alone, torch.ones(9, 9)), alone.max() - alone)
    assert surer_rival(alone[:0], apart[:0, :0]).shape == (0,)
    assert Judge(rival=1.0).beside(alone[:0], apart[:0, :0]).shape == (0,)
