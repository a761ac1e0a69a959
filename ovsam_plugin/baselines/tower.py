"""A frozen image encoder by itself: pictures, and regions of one, as embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ovsam_plugin.baselines.segmenter import Pixels
from ovsam_plugin.network.cost import Cost, count_encoder, count_pooling
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import align_regions
from ovsam_plugin.network.image_encoder import ImageEncoder
from ovsam_plugin.predictor import Frame, Predictor, make_frame, make_pixels, mixed_precision

_STRIDE = 32
_CHUNK = 16


class Tower:
    """Embeds whole pictures at the size the encoder was trained at, and regions of a large one.

    Args:
        encoder: with its weights, in evaluation mode, on its device.
        description: sizes and pixel values of the large picture.
    """

    def __init__(self, encoder: ImageEncoder, description: NetworkDescription) -> None:
        self.encoder = encoder
        self.description = description
        self.device = next(encoder.parameters()).device
        # The pool's own size is that of the last stage in pretraining: 12 x 32 = 384 for RN50x16.
        self.crop_size = description.encoder_roi_size * _STRIDE
        mean, std = encoder.pretraining_pixels or (description.mean, description.std)
        self.crops = replace(description, image_size=self.crop_size, mean=mean, std=std)

    @classmethod
    def of(cls, predictor: Predictor) -> Tower:
        """The frozen encoder of a preset's network."""
        return cls(predictor.network.backbone, predictor.network.description)

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Pixels]) -> Tensor:
        """Square pictures to embeddings.

        Args:
            pictures: N of (crop_size, crop_size, 3) uint8 RGB.

        Returns:
            (N, D) float32 on the CPU, not normalised.
        """
        parts = [torch.zeros(0, self.description.embed_dim)]
        for start in range(0, len(pictures), _CHUNK):
            frames = [make_frame(p, self.crops) for p in pictures[start : start + _CHUNK]]
            pixels = make_pixels(frames, self.crops, self.crop_size, self.device)
            with mixed_precision(self.device):
                last = self.encoder(pixels)[3]
                embeddings = self.encoder.embed(self.encoder.features(last))
            parts.append(embeddings.float().cpu())
        return torch.cat(parts)

    @torch.inference_mode()
    def last_stage(self, image: Pixels) -> tuple[Tensor, Frame]:
        """The stride 32 map of a whole image, (1, C, S/32, S/32), and what was encoded."""
        frame = make_frame(image, self.description)
        pixels = make_pixels([frame], self.description, self.description.image_size, self.device)
        with mixed_precision(self.device):
            return self.encoder(pixels)[3], frame

    @torch.inference_mode()
    def embed_regions(self, last: Tensor, boxes: Tensor, weights: Tensor) -> Tensor:
        """Parts of a large picture to embeddings.

        Args:
            last: (1, C, h, w), its stride 32 map.
            boxes: (N, 4) xyxy in input pixels.
            weights: (N, s, s) float32 in 0..1, how much each cell of a box counts; s is the
                description's `encoder_roi_size`.

        Returns:
            (N, D) float32 on the CPU, not normalised.
        """
        boxes, weights = boxes.to(self.device), weights.to(self.device)
        rois = torch.cat([boxes.new_zeros((len(boxes), 1)), boxes], 1)
        with mixed_precision(self.device):
            regions = align_regions(last, rois, self.description.encoder_roi_size, _STRIDE)
            embeddings = self.encoder.embed(self.encoder.features(regions, weights))
        return embeddings.float().cpu()

    def cost_of_pictures(self, pictures: int) -> Cost:
        """Of whole pictures at the pretraining size, the encoder's parameters with it."""
        one = count_encoder(self.crops) + count_pooling(self.crops, 1, weighted=False)
        return Cost(one.parameters, one.multiply_adds * pictures)

    def cost_of_image(self) -> Cost:
        """Of `last_stage`, the encoder's parameters with it."""
        return count_encoder(self.description)

    def cost_of_regions(self, regions: int) -> Cost:
        """Of `embed_regions`, no parameter counted again."""
        return count_pooling(self.description, regions, weighted=True)
