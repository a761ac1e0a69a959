"""A row of the table of scores is all that a new one needs."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.scoring import table
from ovsam_plugin.scoring.score import NamedInstances, Score


def instances(n: int = 8, share: float | None = None) -> NamedInstances:
    rng = np.random.default_rng(0)
    columns = {name: rng.random(n) for name in (*table.needed(table.SCORES), "area")}
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    fit, elsewhere = rng.normal(size=(2, n))
    return NamedInstances(
        ["cat"] * n, columns, vectors[:, :4].copy(), vectors, fit, elsewhere, share
    )


def test_every_row_gives_each_instance_a_number_and_follows_what_it_needs() -> None:
    found = table.compute(table.SCORES, instances())
    assert {name: values.shape for name, values in found.items()} == {
        score.name: (8,) for score in table.SCORES
    }
    names = [score.name for score in table.SCORES]
    for place, score in enumerate(table.SCORES):
        assert not set(score.needs) & set(names[place:]), score.name


def test_a_row_may_read_numbers_and_the_scores_above_it() -> None:
    both = Score("both", "a test's", lambda run: run.columns["area"] * run.columns["doubt"],
                 needs=("area", "doubt"))  # fmt: skip
    scores = (*table.SCORES, both)
    assert set(table.needed(scores)) == {*table.needed(table.SCORES), "area"}
    run = instances()
    found = table.compute(scores, run)
    assert np.array_equal(found["both"], run.columns["area"] * found["doubt"])


@pytest.mark.parametrize(("share", "grouped"), [(0.0, False), (1.0, True)])
def test_groups_are_of_those_that_count_as_unknown(share: float, grouped: bool) -> None:
    groups = table.compute(table.SCORES, instances(200, share))["group"]
    assert bool(np.isfinite(groups).any()) == grouped
    assert not (groups == 0).any()
