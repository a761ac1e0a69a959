from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ovsam_plugin.network.ovsam import OVSAM, mask_boxes, surroundings
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.presets import get_preset

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def test_the_published_preset_has_exactly_the_published_keys_and_shapes() -> None:
    with torch.device("meta"):
        network = OVSAM(get_preset("ovsam-rn50x16-lvis").network)
    ours = {k: "x".join(map(str, v.shape)) for k, v in network.state_dict().items()}
    lines = (GOLDEN / "keys_RN50x16.txt").read_text().splitlines()
    published = {key: shape for key, _, shape in (line.partition(" ") for line in lines)}
    assert ours == published
    assert len(ours) == 993


def test_mask_boxes_are_the_references() -> None:
    units = np.load(GOLDEN / "units.npz")
    boxes = mask_boxes(torch.from_numpy(units["m2b_masks"]))
    np.testing.assert_array_equal(boxes.numpy(), units["m2b_boxes"])


def tiny() -> OVSAM:
    torch.manual_seed(0)
    return OVSAM(get_preset("ovsam-lite").network).eval()


def test_an_image_of_a_batch_gets_the_features_it_gets_alone() -> None:
    network = tiny()
    pixels = torch.randn(2, 3, 128, 128)
    with torch.inference_mode():
        together = network.encode(pixels)[1]
        alone = network.encode(pixels[1:])
    for a, b in zip([together.image, *together.pyramid], [alone.image, *alone.pyramid]):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_decoding_shares_the_image_instead_of_copying_it() -> None:
    network = tiny()
    with torch.inference_mode():
        features = network.encode(torch.randn(1, 3, 128, 128))
        before = features.image.data_ptr()
        boxes = torch.tensor([[5.0, 5, 90, 60], [20, 30, 70, 100]])
        both = network.decode(features, PromptBatch(boxes=boxes))
        second = network.decode(features, PromptBatch(boxes=boxes[1:]))
    assert features.image.data_ptr() == before
    torch.testing.assert_close(both[1:], second, atol=1e-4, rtol=1e-4)


def test_autocast_leaves_the_coordinates_of_prompts_exact() -> None:
    network = tiny()
    got: list[torch.Tensor] = []
    network.pe.register_forward_hook(lambda _, inputs, outputs: got.append(outputs[0]))
    prompts = PromptBatch(boxes=torch.tensor([[5.0, 5, 90, 60]]))
    with torch.inference_mode():
        features = network.encode(torch.randn(1, 3, 128, 128))
        network.decode(features, prompts)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = network.decode(features, prompts)
    torch.testing.assert_close(got[0], got[1], atol=0, rtol=0)
    assert torch.isfinite(low).all()


@torch.inference_mode()
def test_regions_of_a_batch_are_named_from_their_own_image() -> None:
    network = tiny()
    together = network.encode(torch.randn(2, 3, 128, 128))
    boxes = torch.tensor([[5.0, 5, 90, 60], [20, 30, 70, 100], [5, 5, 90, 60]])
    found = network.embed(together, boxes, boxes, torch.tensor([1, 0, 0]))
    for row, image in enumerate((1, 0, 0)):
        one = boxes[row : row + 1]
        for all_of_them, alone in zip(found, network.embed(together[image], one, one)):
            torch.testing.assert_close(all_of_them[row], alone[0], atol=1e-4, rtol=1e-4)
    assert (found.head[0] - found.head[2]).abs().max() > 1e-3


def test_what_is_around_a_box_is_twice_as_large_and_on_the_photograph() -> None:
    boxes = torch.tensor([[40.0, 30, 60, 50], [0, 0, 20, 40], [90, 60, 128, 96]])
    found = surroundings(boxes, (3, 4))
    assert found.tolist() == [[30, 20, 70, 60], [0, 0, 30, 60], [71, 42, 128, 96]]


@torch.inference_mode()
def test_the_head_reads_what_is_around_a_box_and_the_encoders_own_branch_does_not() -> None:
    network = tiny()
    features = network.encode(torch.randn(1, 3, 256, 256))
    boxes = torch.tensor([[96.0, 96, 160, 160]])
    before = network.embed(features, boxes, boxes)
    spoiled = features.last.clone()
    spoiled[..., 2, :] += 1  # the row of cells above the box, in its surroundings
    after = network.embed(replace(features, last=spoiled), boxes, boxes)
    far = features.last.clone()
    far[..., 0, :] += 1
    same = network.embed(replace(features, last=far), boxes, boxes)
    assert (after.head - before.head).abs().max() > 1e-4
    torch.testing.assert_close(same.head, before.head)


def test_an_empty_region_gives_the_papers_head_a_zero_embedding() -> None:
    torch.manual_seed(0)
    from ovsam_plugin.network.mask_decoder import RecognizingDecoder

    head = RecognizingDecoder(get_preset("ovsam-rn50x16-coco").network, 768)
    with torch.inference_mode():
        embedding = head.embed(torch.zeros(1, 256, 12, 12), torch.randn(1, 768))
    assert not embedding.any()


def test_decoding_writes_nothing_into_the_network() -> None:
    network = tiny()
    before = dict(vars(network.pe))
    boxes = torch.tensor([[5.0, 5, 90, 60]])
    with torch.inference_mode():
        for shape in ((64, 128), (128, 64)):
            features = network.encode(torch.randn(1, 3, *shape))
            for masks in (None, torch.zeros(1, 1, shape[0] // 4, shape[1] // 4)):
                network.decode(features, PromptBatch(boxes=boxes, masks=masks))
    assert vars(network.pe) == before
