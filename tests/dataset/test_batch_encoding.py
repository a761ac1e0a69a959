"""Photographs that are encoded together, where memory runs out or one of them fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ovsam_plugin.dataset.batch_encoding import BatchEncoder
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.hardware.device import is_out_of_memory
from ovsam_plugin.prediction.predictor import Encoding, Predictor

from .conftest import loaded


def test_a_batch_that_does_not_fit_is_halved_and_stays_halved(
    model: OvsamModel, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    whole = Predictor.encode

    def tight(self: Predictor, frames: Any) -> Any:
        if self is not model.labeler.predictor:  # on a thread that an earlier test has left
            return whole(self, frames)
        sizes.append(len(frames))
        if len(frames) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, frames)

    monkeypatch.setattr(Predictor, "encode", tight)
    encode, batch = BatchEncoder(model.labeler), loaded(model, images)
    assert all(isinstance(found, Encoding) for found in encode(batch, None))
    assert sizes == [3, 1, 2, 1, 1]
    sizes.clear()
    encode(batch, None)
    assert sizes == [1, 1, 1]


def test_other_errors_cost_their_own_photograph_and_no_memory_is_blamed(
    model: OvsamModel, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Predictor.encode

    def picky(self: Predictor, frames: Any) -> Any:
        if any(frame is bad for frame in frames):
            raise RuntimeError("not this one")
        return whole(self, frames)

    batch = loaded(model, images)
    bad = batch[1].frame
    monkeypatch.setattr(Predictor, "encode", picky)
    first, second, third = BatchEncoder(model.labeler)(batch, None)
    assert isinstance(first, Encoding)
    assert isinstance(third, Encoding)
    assert str(second) == "not this one"
    answers = model.answer(batch)
    assert [answer.error for answer in answers] == [None, "RuntimeError: not this one", None]
    assert not is_out_of_memory(RuntimeError("not this one"))
    assert is_out_of_memory(MemoryError())
