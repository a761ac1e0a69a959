"""Image-crop: each instance cut out by its mask, and looked at as a picture of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ovsam_plugin.baselines.segmenter import Segmented
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.namers.cuts import BARE, cut_out, fitted
from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.network.cost import Cost


class ImageCrop:
    """Cuts instances out of the image and embeds each cut-out with the frozen encoder.

    What the paper's figures say: 10 instances cost 747 G multiply-adds beside the masks, which is
    RN50x16 on ten pictures of 384 x 384 pixels, the size it was trained at. The paper leaves the
    cutting itself open: here it is the instance alone on the encoder's mean colour.

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
            fitted(cut_out(image, instances.crop(i), BARE, fill), self._tower.crop_size)
            for i in map(int, found)
        ]
        embeddings = np.zeros((len(instances), self._tower.description.embed_dim), np.float32)
        embeddings[found] = self._tower.embed_pictures(pictures).numpy()
        return embeddings

    def cost(self, prompts: int) -> Cost:
        """Of naming that many instances, masks not counted."""
        whole = self._tower.cost_of_pictures(prompts)
        return Cost(0, whole.multiply_adds) if self._shared else whole
