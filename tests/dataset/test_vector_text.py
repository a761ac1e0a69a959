"""Vectors as text of a fixed width."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from ovsam_plugin.dataset.vector_text import decode, encode


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (1, 768), (3000, 700)])
def test_any_reader_of_json_and_our_own_read_the_same_numbers(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    vectors.flat[0] = -1.0
    text = b"".join(encode(vectors))
    read = np.array(json.loads(text))
    assert read.shape == shape
    assert np.abs(read - vectors).max() < 5.1e-8
    assert read[0, 0] == -1.0
    assert np.array_equal(decode(io.BytesIO(text), shape), read.astype(np.float32))


def test_unit_vectors_come_back_with_the_same_cosines() -> None:
    vectors = np.random.default_rng(1).normal(size=(200, 1536)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    back = decode(io.BytesIO(b"".join(encode(vectors))), vectors.shape)
    assert np.abs(back @ back.T - vectors @ vectors.T).max() < 1e-6


@pytest.mark.parametrize("shape", [(0, 0), (0, 5)])
def test_no_vectors_are_an_empty_list(shape: tuple[int, int]) -> None:
    text = b"".join(encode(np.empty(shape, np.float32)))
    assert json.loads(text) == []
    assert decode(io.BytesIO(text), shape).shape == shape


@pytest.mark.parametrize("bad", [np.nan, np.inf, -10.0])
def test_a_number_that_does_not_fit_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite, and less than 10"):
        b"".join(encode(np.array([[0.5, bad]], np.float32)))
