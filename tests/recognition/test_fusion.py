"""Two scores made one, whatever the branches say."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from ovsam_plugin.recognition.fusion import Fusion, fuse, with_background

Pair = tuple[Tensor, Tensor, Tensor]


@st.composite
def branches(draw: st.DrawFn) -> Pair:
    """Logits of both branches, (N, K + 1), which may underflow, and which classes were seen."""
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    logits = hnp.arrays(np.float32, (n, k + 1), elements=st.floats(-400, 400, width=32))
    head, clip = (torch.from_numpy(draw(logits)).double() for _ in range(2))
    return head, clip, torch.from_numpy(draw(hnp.arrays(bool, k)))


WEIGHTS = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda w: Fusion(*w))


@settings(max_examples=100, deadline=None)
@given(branches(), WEIGHTS)
def test_a_fused_score_is_the_weighted_geometric_mean(given_: Pair, fusion: Fusion) -> None:
    head, clip, seen = given_
    fused = fuse(head, clip, seen, torch.zeros(len(head), dtype=torch.bool), fusion)
    q, c = (x.log_softmax(-1) for x in (head, clip))
    for i in range(len(seen) + 1):  # the background counts as seen
        known = i == len(seen) or bool(seen[i])
        w = fusion.seen_weight if known else fusion.unseen_weight
        torch.testing.assert_close(
            fused[:, i], (1 - w) * q[:, i] + w * c[:, i], rtol=1e-5, atol=1e-4
        )
    assert torch.isfinite(fused).all()
    low, high = torch.minimum(q, c), torch.maximum(q, c)
    assert ((fused >= low - 1e-3) & (fused <= high + 1e-3)).all()


@settings(max_examples=50, deadline=None)
@given(branches(), WEIGHTS, st.randoms())
def test_neither_the_order_of_classes_nor_of_instances_matters(
    given_: Pair, fusion: Fusion, random: object
) -> None:
    head, clip, seen = given_
    empty = torch.arange(len(head)) % 2 == 1
    rows = list(range(len(head)))
    columns = list(range(len(seen)))
    random.shuffle(rows)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    all_columns = [*columns, len(seen)]
    moved = fuse(
        head[rows][:, all_columns], clip[rows][:, all_columns], seen[columns], empty[rows], fusion
    )
    # A softmax adds in another order then.
    torch.testing.assert_close(moved, fuse(head, clip, seen, empty, fusion)[rows][:, all_columns])


@settings(max_examples=50, deadline=None)
@given(branches(), WEIGHTS)
def test_the_head_alone_counts_where_a_mask_is_empty(given_: Pair, fusion: Fusion) -> None:
    head, clip, seen = given_
    fused = fuse(head, clip, seen, torch.ones(len(head), dtype=torch.bool), fusion)
    torch.testing.assert_close(fused, head.log_softmax(-1))


def test_the_background_is_last_and_has_no_cosine() -> None:
    logits = with_background(torch.tensor([[0.5, -0.25]]), 100.0)
    assert logits.tolist() == [[50.0, -25.0, 0.0]]
