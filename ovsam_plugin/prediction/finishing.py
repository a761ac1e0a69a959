"""Answers brought to the photograph's own size, as instances."""

from __future__ import annotations

import numpy as np

from ovsam_plugin.images.frame import Frame
from ovsam_plugin.images.mask_crop import NOTHING, MaskCrop
from ovsam_plugin.network.ovsam import mask_boxes
from ovsam_plugin.network.resample import MaskResampler
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.instances import Instances, PackedMasks


def finished(
    frame: Frame, decoded: Decoded, *, square: int | None, inside_boxes: bool = False
) -> Instances:
    """Masks at the photograph's own size, upsampled only inside their own boxes.

    Args:
        frame: of the photograph.
        decoded: N answers.
        square: side of the network's input in pixels, where logits are all over it; None where
            they are drawn over windows.
        inside_boxes: cut the answer to a prompt that is known to lie in a box at that box.
    """
    cells = mask_boxes(decoded.logits > 0).cpu().numpy()
    drawn = np.array([prompt.drawn is not None for prompt in decoded.prompts], dtype=bool)
    cells[drawn] = 0
    crops = [prompt.drawn or NOTHING for prompt in decoded.prompts]
    for i, x, y, mask in _resampler(frame, decoded, square).masks(decoded.logits, cells):
        crop, prompt = MaskCrop.at(mask, x, y), decoded.prompts[i]
        if inside_boxes and prompt.within is not None:
            crop = crop.inside(prompt.within)
        crops[i] = crop
    return Instances(
        image_size=frame.original_size,
        boxes=np.array([crop.box for crop in crops], dtype=np.int64).reshape(-1, 4),
        masks=PackedMasks(tuple(crops)),
        stability=decoded.stability.numpy(),
        objectness=decoded.objectness.numpy(),
        head_embeddings=decoded.embeddings.head.numpy(),
        clip_embeddings=decoded.embeddings.clip.numpy(),
        prompts=decoded.prompts,
    )


def _resampler(frame: Frame, decoded: Decoded, square: int | None) -> MaskResampler:
    """What brings the logits to the photograph's own pixels."""
    sizes = frame.size, frame.original_size
    rows, columns = decoded.logits.shape[-2:]
    over = decoded.windows.new_tensor([0, 0, 4 * columns, 4 * rows])
    # What was asked in a tile has a window of the photograph here too.
    if square is not None and bool((decoded.windows == over).all()):
        return MaskResampler.build(rows, square, *sizes)
    return MaskResampler.windows((rows, columns), decoded.windows.numpy(), *sizes)
