"""The nearest of a class's names."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.recognition.synonyms import Synonyms

from .test_recognizer import classifier, unit


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(0, 1000))
def test_a_class_is_as_near_as_its_nearest_synonym(synonyms: list[int], seed: int) -> None:
    made = classifier(synonyms, seed=seed)
    embeddings = torch.randn(4, 8, generator=torch.Generator().manual_seed(seed))
    rows, owner = torch.from_numpy(made.embeddings), torch.from_numpy(made.owner)
    ours = Synonyms(rows, owner).nearest(embeddings)
    cosines = unit(embeddings.numpy()) @ made.embeddings.T
    plain = np.stack([cosines[:, made.owner == k].max(1) for k in range(len(synonyms))], axis=1)
    np.testing.assert_allclose(ours.numpy(), plain, atol=1e-6)
