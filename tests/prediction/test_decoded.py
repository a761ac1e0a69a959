from __future__ import annotations

import pytest
import torch

from ovsam_plugin.network.ovsam import Embeddings
from ovsam_plugin.prediction import decoded as decoded_module
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.prompts import Box


def decoded(windows: list[tuple[float, float, float, float]], cells: int = 32) -> Decoded:
    """Masks that fill the left half of their windows."""
    n = len(windows)
    logits = torch.full((n, cells, cells), -5.0)
    logits[:, :, : cells // 2] = 5
    frames = torch.tensor(windows).reshape(-1, 4)
    numbers = torch.arange(float(n))
    embeddings = Embeddings(torch.eye(n, 4), -torch.eye(n, 4))
    return Decoded(
        tuple(Box((0, 0, 1, 1), id=str(i)) for i in range(n)),
        logits,
        frames,
        frames,
        numbers,
        numbers / 10,
        numbers / 20,
        numbers / 40,
        embeddings,
    )


WINDOWS = [(0.0, 0.0, 32.0, 32.0), (16.0, 8.0, 80.0, 40.0), (-32.0, 0.0, 32.0, 64.0)]


def test_masks_are_laid_side_by_side_where_their_windows_are() -> None:
    grid = decoded(WINDOWS).on_grid((48, 96), 4)
    assert grid.shape == (3, 12, 24)
    expected = torch.zeros(3, 12, 24, dtype=torch.bool)
    expected[0, 0:8, 0:4] = True
    expected[1, 2:10, 4:12] = True  # and the third mask's left half is off the photograph
    assert torch.equal(grid, expected)


def test_a_size_that_is_no_multiple_of_the_stride_is_covered() -> None:
    assert decoded(WINDOWS).on_grid((45, 90), 4).shape == (3, 12, 23)


def test_many_masks_are_laid_out_as_few_are() -> None:
    windows = [(float(i), 0.0, float(i) + 20, 20.0) for i in range(40)]
    grid = decoded(windows).on_grid((32, 64), 2)
    for i in (0, 31, 32, 39):
        assert torch.equal(grid[i], decoded([windows[i]]).on_grid((32, 64), 2)[0])


@pytest.mark.parametrize("order", [[2, 0], [1], []])
def test_some_answers_are_those_answers_in_that_order(order: list[int]) -> None:
    part = decoded(WINDOWS)[order]
    assert [prompt.id for prompt in part.prompts] == [str(i) for i in order]
    assert part.stability.tolist() == order
    assert part.quality.tolist() == pytest.approx([i / 10 for i in order])
    assert part.thing.tolist() == pytest.approx([i / 20 for i in order])
    assert part.objectness.tolist() == pytest.approx([i / 40 for i in order])
    assert part.windows.tolist() == [list(WINDOWS[i]) for i in order]
    assert part.boxes.shape == (len(order), 4)
    assert part.embeddings.head.argmax(1).tolist() == order
    assert part.embeddings.clip.argmin(1).tolist() == order


def test_parts_put_together_are_the_whole() -> None:
    whole = decoded(WINDOWS)
    again = Decoded.concatenate([whole[[0, 1]], whole[[]], whole[[2]]])
    assert again.prompts == whole.prompts
    for name in ("logits", "windows", "boxes", "stability", "quality", "thing", "objectness"):
        assert torch.equal(getattr(again, name), getattr(whole, name))
    assert torch.equal(again.embeddings.clip, whole.embeddings.clip)


def test_numbers_come_from_a_device_together_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = torch.rand(5, 4), torch.rand(5), torch.rand(5, 2, 3), torch.rand(5).half()
    plain = decoded_module.fetched(*tensors)
    monkeypatch.setattr(decoded_module, "is_at_hand", lambda tensor: False)
    for ours, expected in zip(decoded_module.fetched(*tensors), plain, strict=True):
        assert torch.equal(ours, expected)
