"""A frozen image encoder by itself: pictures, and regions of one, as embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ovsam_plugin.hardware.precision import Precision, computing_in, pick_precision
from ovsam_plugin.images.frame import Frame, make_frame, padded_size, stack_pixels
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.network.cost import Cost, count_run
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import align_regions
from ovsam_plugin.network.image_encoder import ImageEncoder
from ovsam_plugin.prediction.predictor import Predictor

_STRIDE = 32
CHUNK = 16
"""Pictures embedded at once."""


class Tower:
    """Embeds whole pictures at the size the encoder was trained at, and regions of a large one.

    Args:
        encoder: with its weights, in evaluation mode, on its device.
        description: sizes and pixel values of the large picture.
        crop_size: pixels a side of whole pictures; what the pool's size says when not given.
        precision: what it computes with.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        description: NetworkDescription,
        crop_size: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self.encoder = encoder
        self.description = description
        self.device = next(encoder.parameters()).device
        self.precision = pick_precision(precision, self.device)
        # The pool's own size is that of the last stage in pretraining: 12 x 32 = 384 for RN50x16.
        self.crop_size = crop_size or description.encoder_roi_size * _STRIDE
        mean, std = encoder.pretraining_pixels or (description.mean, description.std)
        self.crops = replace(description, image_size=self.crop_size, mean=mean, std=std)

    @classmethod
    def of(cls, predictor: Predictor) -> Tower:
        """The frozen encoder of a preset's network."""
        network = predictor.network
        return cls(network.backbone, network.description, precision=predictor.precision)

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Pixels], chunk: int = CHUNK) -> Tensor:
        """Square pictures to embeddings.

        Args:
            pictures: N of (crop_size, crop_size, 3) uint8 RGB.
            chunk: pictures embedded at once.

        Returns:
            (N, D) float32 on the CPU, not normalised.
        """
        parts = [torch.zeros(0, self.description.embed_dim)]
        for start in range(0, len(pictures), chunk):
            frames = [make_frame(p, self.crops) for p in pictures[start : start + chunk]]
            size = (self.crop_size, self.crop_size)
            pixels = stack_pixels(frames, self.crops, size, self.device)
            with computing_in(self.precision, self.device):
                embeddings = self.encoder.picture(pixels)
            parts.append(embeddings.float().cpu())
        return torch.cat(parts)

    @torch.inference_mode()
    def last_stage(self, image: Pixels) -> tuple[Tensor, Frame]:
        """The stride 32 map of a whole image, (1, C, S/32, S/32), and what was encoded."""
        frame = make_frame(image, self.description)
        size = padded_size(frame, self.description)
        pixels = stack_pixels([frame], self.description, size, self.device)
        with computing_in(self.precision, self.device):
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
        with computing_in(self.precision, self.device):
            regions = align_regions(last, rois, self.description.encoder_roi_size, _STRIDE)
            embeddings = self.encoder.embed(self.encoder.features(regions, weights))
        return embeddings.float().cpu()

    def cost_of_pictures(self, pictures: int) -> Cost:
        """Of whole pictures at the pretraining size, the encoder's parameters with it."""
        shape = (1, 3, self.crop_size, self.crop_size)
        one = count_run(self.encoder, lambda _: self.encoder.picture(self._empty(shape)))
        return Cost(one.parameters, one.multiply_adds * pictures)

    def cost_of_image(self) -> Cost:
        """Of `last_stage`, the encoder's parameters with it."""
        shape = (1, 3, self.description.image_size, self.description.image_size)
        return count_run(self.encoder, lambda encoder: encoder(self._empty(shape)))

    def cost_of_regions(self, regions: int) -> Cost:
        """Of `embed_regions`, no parameter counted again."""
        bins, encoder = self.description.encoder_roi_size, self.encoder
        shape = (1, encoder.channels[3], bins, bins)
        one = count_run(
            encoder,
            lambda _: encoder.embed(
                encoder.features(self._empty(shape), self._empty((1, bins, bins)))
            ),
        )
        return Cost(0, one.multiply_adds * regions)

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, device=self.device)
