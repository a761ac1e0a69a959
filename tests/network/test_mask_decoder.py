"""The mask decoder beside SAM's own."""

from __future__ import annotations

import torch
from segment_anything.modeling.mask_decoder import MaskDecoder as SamDecoder
from segment_anything.modeling.transformer import TwoWayTransformer

from ovsam_plugin.network.mask_decoder import MaskDecoder
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.presets import get_preset

from .test_attention import noise, randomized


@torch.inference_mode()
def test_masks_are_upscaled_as_sam_upscales_them() -> None:
    description = get_preset("ovsam-rn50x16-coco").network
    ours = randomized(MaskDecoder(description))
    theirs = SamDecoder(
        transformer_dim=256,
        transformer=TwoWayTransformer(2, 256, 8, 2048),
        num_multimask_outputs=0,
    )
    state = ours.state_dict() | {
        key: value for key, value in theirs.state_dict().items() if key.startswith("iou")
    }
    theirs.load_state_dict(state)
    extra, sparse, image, positions = (
        noise(*shape) for shape in ((1, 256), (3, 2, 256), (1, 256, 6, 9), (1, 256, 6, 9))
    )
    theirs.iou_token.weight.data = extra
    dense = noise(256)[None, :, None, None].expand(3, -1, 6, 9)
    prompts = PromptBatch(boxes=torch.zeros(3, 4))
    found = ours(image, positions, [], extra, sparse, dense[:1], prompts)
    expected, _ = theirs.eval()(image, positions, sparse, dense, multimask_output=False)
    assert found.shape == expected.shape == (3, 1, 24, 36)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, atol=1e-5 * scale, rtol=1e-4)
