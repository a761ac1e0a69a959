"""What text towers share: vectors of unit length, warnings of a few texts, silence."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

from ovsam_plugin.vocabulary.text_reading import quiet, require, unit, warn_of


def test_vectors_become_unit_length_and_zero_stays_zero() -> None:
    vectors = unit(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_the_guilty_texts_are_told_by_the_first_three() -> None:
    with pytest.warns(UserWarning, match="text tower t cuts: a, b, c and 1 more"):
        warn_of("t", "cuts", ["a", "b", "x", "c", "d"], [True, True, False, True, True])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of("t", "cuts", ["a"], [False])


def test_the_hub_s_loggers_speak_again_after_an_error() -> None:
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    with quiet():
        assert logger.level == logging.CRITICAL
    assert logger.level == before
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert logger.level == before


def test_a_missing_module_comes_with_its_package() -> None:
    require("numpy", "numpy")
    with pytest.raises(ImportError, match="no_such is not installed: pip install such"):
        require("no_such", "such")
