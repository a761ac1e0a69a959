"""Image-crop: each instance cut out by its mask, and looked at as a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ovsam_plugin.baselines.segmenter import Pixels, Segmented
from ovsam_plugin.baselines.tower import Tower
from ovsam_plugin.network.cost import Cost


class ImageCrop:
    """Cuts instances out of the image and embeds each cut-out with the frozen encoder.

    What the paper's figures say: 10 instances cost 747 G multiply-adds beside the masks, which is
    RN50x16 on ten pictures of 384 x 384 pixels, the size it was trained at. The paper leaves the
    cutting itself open; see `cut_out`.

    Args:
        tower: the frozen encoder.
        shared: whether the segmenter runs the same encoder, whose parameters then count once.
    """

    name = "image-crop"

    def __init__(self, tower: Tower, *, shared: bool) -> None:
        self._tower = tower
        self._shared = shared

    def embed(self, image: Pixels, segmented: Segmented) -> npt.NDArray[np.float32]:
        """(N, D) float32 of N instances, not normalised; zeros where a mask is empty."""
        instances = segmented.instances
        found = np.flatnonzero(~instances.empty)
        fill = tuple(round(v) for v in self._tower.crops.mean)
        pictures = [
            cut_out(image, instances.boxes[i], instances.masks[i], self._tower.crop_size, fill)
            for i in map(int, found)
        ]
        embeddings = np.zeros((len(instances), self._tower.description.embed_dim), np.float32)
        embeddings[found] = self._tower.embed_pictures(pictures).numpy()
        return embeddings

    def cost(self, prompts: int) -> Cost:
        """Of naming that many instances, masks not counted."""
        whole = self._tower.cost_of_pictures(prompts)
        return Cost(0, whole.multiply_adds) if self._shared else whole


def cut_out(
    image: Pixels,
    box: npt.NDArray[np.int64],
    mask: npt.NDArray[np.bool_],
    side: int,
    fill: Sequence[int],
) -> Pixels:
    """One instance on a square of plain colour, in its own proportions and as large as fits.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (4,) xyxy pixels, the mask's own.
        mask: (y2 - y1, x2 - x1) bool.
        side: of the square in pixels.
        fill: RGB colour of everything that is not the instance: the encoder's mean, which is 0
            once normalised.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    x1, y1, x2, y2 = box
    background = np.array(fill, dtype=np.uint8)
    cut = np.where(mask[:, :, None], image[y1:y2, x1:x2], background)
    scale = side / max(cut.shape[:2])
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(cut, size, interpolation=method)
    square = np.full((side, side, 3), background, dtype=np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square[top : top + size[1], left : left + size[0]] = resized
    return square
