"""Feature-crop: the encoder's features of the whole image, pooled under each mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ovsam_plugin.baselines.segmenter import Segmented
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.network.cost import Cost
from ovsam_plugin.prediction.instances import Instances


class FeatureCrop:
    """Reads each instance from one map of the frozen encoder's last stage.

    What the paper's figures say: 10 instances cost 544 G multiply-adds beside the masks, which is
    RN50x16 once at 1024 pixels and its attention pool on ten 12 x 12 regions. Here the region is
    the mask's own box, and a cell of it counts by the share of it that lies under the mask (in the
    attention and in the mean that asks), where the encoder's own branch of OVSAM sees the whole
    box. A pool without attention takes the weighted mean.

    Args:
        tower: the frozen encoder.
        shared: whether the segmenter runs the same encoder on the same image; its map is then
            read instead of made again.
    """

    name = "feature-crop"

    def __init__(self, tower: Tower, *, shared: bool) -> None:
        self._tower = tower
        self._shared = shared

    def embed(self, image: Pixels, segmented: Segmented) -> npt.NDArray[np.float32]:
        """(N, D) float32 of N instances, not normalised; zeros where a mask is empty."""
        instances, encoding = segmented.instances, segmented.encoding
        if self._shared and encoding is not None:
            last, frame = encoding.features.last, encoding.frame
        else:
            last, frame = self._tower.last_stage(image)
        embeddings = np.zeros((len(instances), self._tower.description.embed_dim), np.float32)
        found = np.flatnonzero(~instances.empty)
        if len(found):
            boxes = instances.boxes[found] * np.tile(frame.scale, 2)
            weights = cell_shares(instances[found], self._tower.description.encoder_roi_size)
            parts = self._tower.embed_regions(last, torch.from_numpy(boxes).float(), weights)
            embeddings[found] = parts.numpy()
        return embeddings

    def cost(self, prompts: int) -> Cost:
        """Of naming that many instances, masks not counted."""
        pooling = self._tower.cost_of_regions(prompts)
        return pooling if self._shared else self._tower.cost_of_image() + pooling


def cell_shares(instances: Instances, bins: int) -> Tensor:
    """(N, bins, bins) float32 in 0..1: of each cell of a mask's own box, the share it covers."""
    return torch.stack(
        [
            F.adaptive_avg_pool2d(torch.from_numpy(mask)[None].float(), bins)[0]
            for mask in instances.masks
        ]
    )
