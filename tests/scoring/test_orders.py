from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsam_plugin.scoring.disagreement import disagreement
from ovsam_plugin.scoring.doubt import doubt
from ovsam_plugin.scoring.orders import ORDERS, order

SHARES = st.floats(0, 1, allow_subnormal=False)
COLUMNS = (
    "objectness", "confidence", "margin", "head_score", "clip_score", "stability", "outlier",
    "priority", "similarity", "unknown",
)  # fmt: skip


def columns_of(table: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(COLUMNS, table))


TABLES = st.integers(1, 9).flatmap(lambda n: arrays(np.float64, (len(COLUMNS), n), elements=SHARES))


@given(table=TABLES)
@settings(deadline=None)  # busy machines
def test_every_order_gives_each_instance_a_number_from_0_to_1(table: np.ndarray) -> None:
    columns = columns_of(table)
    for each in ORDERS.values():
        scores = each.score(columns)
        assert scores.shape == (table.shape[1],)
        assert ((scores >= 0) & (scores <= 1)).all()


@given(table=TABLES, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)  # busy machines
def test_a_score_does_not_depend_on_the_order_of_the_instances(
    table: np.ndarray, seed: int
) -> None:
    shuffle = np.random.default_rng(seed).permutation(table.shape[1])
    for each in ORDERS.values():
        before = each.score(columns_of(table))[shuffle]
        after = each.score(columns_of(table[:, shuffle]))
        assert np.allclose(before, after, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in ORDERS if name != "doubt"])
def test_an_order_sorts_as_its_stored_attribute_does_in_a_database(name: str) -> None:
    rng = np.random.default_rng(0)
    columns = columns_of(rng.random((len(COLUMNS), 50)))
    stored = dict(columns, disagreement=disagreement(columns["head_score"], columns["clip_score"]))
    each = ORDERS[name]
    sign = -1 if each.highest_first else 1
    by_database = np.argsort(sign * stored[each.attribute], kind="stable")
    assert np.array_equal(by_database, np.argsort(-each.score(columns), kind="stable"))


def test_the_order_by_doubt_is_the_doubt_that_is_stored() -> None:
    columns = columns_of(np.random.default_rng(1).random((len(COLUMNS), 20)))
    signs = ("confidence", "margin", "outlier", "objectness")
    stored = doubt(*(columns[name] for name in signs))
    assert ORDERS["doubt"].attribute == "doubt"
    assert np.array_equal(order("doubt").score(columns), stored)


def test_an_unknown_order_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="suggested, doubt, confidence, objectness, margin"):
        order("worst")
