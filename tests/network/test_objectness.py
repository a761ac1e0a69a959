from __future__ import annotations

import torch

from ovsam_plugin.network.objectness import ObjectnessHead, cell_centres
from ovsam_plugin.presets import get_preset


def test_cell_centres_run_along_rows() -> None:
    centres = cell_centres(2, 3, torch.device("cpu"))
    assert centres.tolist() == [[8, 8], [24, 8], [40, 8], [8, 24], [24, 24], [40, 24]]


def test_every_cell_gets_a_box_around_its_own_centre() -> None:
    torch.manual_seed(0)
    description = get_preset("ovsam-lite").network
    head = ObjectnessHead(description)
    pyramid = [torch.zeros(2, 64, 160 // s, 160 // s) for s in (4, 8, 16, 32)]
    logits, boxes = head(torch.randn(2, 128, 10, 10), pyramid)
    assert logits.shape == (2, 100)
    assert boxes.shape == (2, 100, 4)
    centres = cell_centres(10, 10, torch.device("cpu"))
    assert (boxes[..., :2] < centres).all()
    assert (boxes[..., 2:] > centres).all()
