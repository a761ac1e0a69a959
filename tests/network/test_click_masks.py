from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ovsam_plugin.network.click_masks import _sample, answer_clicks
from ovsam_plugin.network.objectness import Proposals, cells_at
from ovsam_plugin.network.ovsam import OVSAM, Features
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.network.region_masks import windows
from ovsam_plugin.presets import get_preset

SIZE = (128, 128)
CELLS = 16 * 16 + 8 * 8 + 4 * 4


@pytest.fixture(scope="module")
def network() -> OVSAM:
    torch.manual_seed(0)
    return OVSAM(get_preset("ovsam-lite").network).eval()


@pytest.fixture(scope="module")
def features(network: OVSAM) -> Features:
    with torch.inference_mode():
        return network.encode(torch.randn(1, 3, *SIZE))


@pytest.fixture
def all_of_a_window(network: OVSAM) -> Iterator[OVSAM]:
    """Every mask is all of its window, and none is thought better than another."""
    head = network.region_masks
    assert head is not None
    saved = {k: v.clone() for k, v in head.state_dict().items()}
    with torch.no_grad():
        torch.nn.init.zeros_(head.output.weight)
        head.output.bias.fill_(1.0)  # type: ignore[union-attr]
        head.scores[2].weight.zero_()  # type: ignore[operator]
        yield network
    head.load_state_dict(saved)


def prompts_of(points: list[list[tuple[float, float]]], labels: list[list[int]]) -> PromptBatch:
    return PromptBatch(
        points=torch.tensor(points).float(), point_labels=torch.tensor(labels).float()
    )


def proposing(boxes: dict[tuple[float, float], list[float]]) -> Proposals:
    """At each point the same box for all sizes."""
    found = Proposals(torch.zeros(1, CELLS), torch.zeros(1, CELLS, 4))
    for point, box in boxes.items():
        found.boxes[0, cells_at(torch.tensor([point]), SIZE)] = torch.tensor(box).float()
    return found


def answer(
    network: OVSAM, features: Features, prompts: PromptBatch, proposals: Proposals
) -> tuple[Tensor, Tensor]:
    assert network.region_masks is not None
    assert features.regions is not None
    masks, frames = answer_clicks(network.region_masks, features.regions, prompts, proposals)
    return masks.logits, frames


def grid() -> Tensor:
    """The middles of all pixels, (1, 128, 128, 2)."""
    line = torch.arange(128) + 0.5
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]


def pixels(logits: Tensor, frames: Tensor, row: int = 0) -> Tensor:
    return _sample(logits[row : row + 1], frames[row : row + 1], grid())[0] > 0


def in_box(x1: float, y1: float, x2: float, y2: float) -> Tensor:
    x, y = grid()[0].unbind(-1)
    return (x > x1) & (x < x2) & (y > y1) & (y < y2)


@torch.inference_mode()
def test_of_the_masks_for_a_point_the_best_that_holds_it_is_taken(
    network: OVSAM, features: Features
) -> None:
    head = network.region_masks
    assert head is not None
    assert features.regions is not None
    cells = cells_at(torch.tensor([[70.0, 66]]), SIZE)
    proposals = Proposals(torch.zeros(1, CELLS), torch.zeros(1, CELLS, 4))
    boxes = torch.tensor([[60.0, 56, 80, 76], [50, 46, 90, 86], [40, 40, 100, 100]])
    proposals.boxes[0, cells] = boxes
    told = PromptBatch(points=torch.tensor([[[70.0, 66]]] * 3), point_labels=torch.ones(3, 1))
    drawn = head(features.regions, boxes, prompts=told)
    assert told.points is not None
    on = _sample(drawn.logits, windows(boxes), told.points[:, None])[:, 0, 0] > 0
    score = drawn.quality.sigmoid() * on
    answered = network.answer(features, prompts_of([[(70, 66)]], [[1]]), proposals)
    assert answered.quality is not None
    assert answered.thing is not None
    assert answered.quality[0] == pytest.approx(float(score.max()), rel=1e-4)
    torch.testing.assert_close(answered.windows[0], windows(boxes)[score.argmax()])
    best = float(drawn.thing[score.argmax()].sigmoid())
    assert answered.thing[0] == pytest.approx(best, rel=1e-4)


def test_a_mask_that_cannot_have_the_point_is_not_taken(
    all_of_a_window: OVSAM, features: Features
) -> None:
    """Of the point's three boxes two lie far off."""
    for level in range(3):
        point = (70.0, 66.0)
        proposals = proposing({point: [100, 0, 120, 20]})
        near = torch.tensor([55.0, 51, 85, 81])
        proposals.boxes[0, cells_at(torch.tensor([point]), SIZE)[0, level]] = near
        _, frames = answer(all_of_a_window, features, prompts_of([[point]], [[1]]), proposals)
        torch.testing.assert_close(frames[0], windows(near[None])[0])


def test_a_further_point_adds_the_thing_under_it(
    all_of_a_window: OVSAM, features: Features
) -> None:
    proposals = proposing({(30, 30): [20, 20, 40, 40], (90, 34): [80, 20, 100, 48]})
    asked = prompts_of([[(30, 30), (90, 34)], [(90, 34), (90, 34)]], [[1, 1], [1, 1]])
    found = answer(all_of_a_window, features, asked, proposals)
    first, second = in_box(17, 17, 43, 43), in_box(77, 15.8, 103, 52.2)
    assert (pixels(*found) != (first | second)).float().mean() < 0.01
    assert (pixels(*found, 1) != second).float().mean() < 0.01  # it was there already


@pytest.mark.parametrize(
    ("off", "thing", "away"),
    [
        ((60, 64), [52, 56, 68, 72], (49.6, 53.6, 70.4, 74.4)),  # a thing of its own
        ((100, 64), [10, 10, 120, 120], (62, 0, 128, 128)),  # one that has the first point as well
        ((60, 64), [0, 0, 4, 4], None),  # none: a spot
    ],
)
def test_a_point_off_it_takes_away_what_lies_nearer_to_it(
    all_of_a_window: OVSAM,
    features: Features,
    off: tuple[float, float],
    thing: list[float],
    away: tuple[float, float, float, float] | None,
) -> None:
    first = (24.0, 64.0)
    proposals = proposing({first: [10, 10, 120, 120], off: thing})
    logits, frames = answer(
        all_of_a_window, features, prompts_of([[first, off]], [[1, 0]]), proposals
    )
    whole = in_box(*windows(torch.tensor([[10.0, 10, 120, 120]]))[0].tolist())
    taken = in_box(*away) if away else ((grid()[0] - torch.tensor(off)).norm(dim=-1) < 14.3)
    assert (pixels(logits, frames) != (whole & ~taken)).float().mean() < 0.02
    assert not pixels(logits, frames)[int(off[1]), int(off[0])]


@torch.inference_mode()
def test_every_click_is_as_it_was_set_wherever_it_lies(network: OVSAM, features: Features) -> None:
    """Of a network that knows nothing, with boxes at random."""
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(1, CELLS, 2, generator=random) * 100
    sides = torch.rand(1, CELLS, 2, generator=random) * 80 + 2
    proposals = Proposals(torch.zeros(1, CELLS), torch.cat([corner, corner + sides], -1))
    # Apart from each other, since cells are not points.
    places = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)) * 15 + 10
    rows = [places[torch.randperm(64, generator=random)[:6]] for _ in range(10)]
    points, labels = torch.stack(rows), torch.randint(2, (10, 6), generator=random).float()
    labels[torch.arange(10), torch.randint(6, (10,), generator=random)] = 1.0
    logits, frames = answer(
        network, features, PromptBatch(points=points, point_labels=labels), proposals
    )
    on = _sample(logits, frames, points[:, None])[:, 0] > 0
    assert torch.equal(on, labels == 1)
