"""The network and the photograph that baselines are tried on."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.prediction.labeler import Labeler, load_labeler
from ovsam_plugin.prediction.prompts import Box

CAT = Box((110.0, 20.0, 410.0, 290.0), id="a")


@pytest.fixture(scope="session")
def labeler() -> Labeler:
    return load_labeler(vocabulary="cat, cup, person, banana, bus", device="cpu")


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    from skimage import data

    return data.chelsea()
