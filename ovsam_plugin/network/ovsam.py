"""Open-Vocabulary SAM: the parts put together under the names of the published checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import FeaturePyramid, align_pyramid, align_regions
from ovsam_plugin.network.image_encoder import build_image_encoder
from ovsam_plugin.network.mask_decoder import RecognizingDecoder
from ovsam_plugin.network.objectness import ObjectnessHead
from ovsam_plugin.network.prompt_encoder import PromptBatch, build_prompt_encoder
from ovsam_plugin.network.sam2clip import Sam2ClipNeck


@dataclass(frozen=True)
class Features:
    """All that one pass of the encoder gives, for one image or a batch.

    Attributes:
        image: (B, channels, S/16, S/16), the neck's output.
        pyramid: four maps (B, fpn_channels, S/s, S/s) at strides 4, 8, 16, 32.
        last: (B, C, S/32, S/32), the frozen encoder's last stage.
    """

    image: Tensor
    pyramid: list[Tensor]
    last: Tensor

    def __getitem__(self, index: int) -> Features:
        """One image of the batch, as views with a batch axis of 1."""
        part = slice(index, index + 1)
        return Features(self.image[part], [level[part] for level in self.pyramid], self.last[part])


class Embeddings(NamedTuple):
    """What the two branches make of N regions.

    Attributes:
        head: (N, D) the trained head's, not normalised.
        clip: (N, D) the frozen encoder's, not normalised.
    """

    head: Tensor
    clip: Tensor


class OVSAM(nn.Module):
    """One network of any size.

    Args:
        description: its sizes. The state dict has exactly the keys of the published assembled
            model when the description is the paper's.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        self.description = description
        self.backbone = build_image_encoder(description)
        self.neck = Sam2ClipNeck(self.backbone.channels, description)
        self.fpn_neck = FeaturePyramid(self.backbone.channels, description.fpn_channels)
        self.pe = build_prompt_encoder(description)
        self.mask_decoder = RecognizingDecoder(description, self.backbone.pooled_channels)
        self.objectness = ObjectnessHead(description) if description.objectness else None

    def encode(self, pixels: Tensor) -> Features:
        """(B, 3, S, S) normalised, zero-padded pixels -> everything that prompts need."""
        stages = self.backbone(pixels)
        return Features(self.neck(stages), self.fpn_neck(stages), stages[3])

    def decode(self, features: Features, prompts: PromptBatch) -> Tensor:
        """Mask logits of N prompts on one image.

        Args:
            features: of one image (B = 1); shared by all prompts, not copied.
            prompts: in pixels of the resized image.

        Returns:
            (N, 1, S/4, S/4) logits over the padded image.
        """
        pe = self.pe
        pe.image_embedding_size = (features.image.shape[-2], features.image.shape[-1])
        pe.input_image_size = (pe.image_embedding_size[0] * 16, pe.image_embedding_size[1] * 16)
        # Fourier features of coordinates lose pixels in half precision.
        with torch.autocast(features.image.device.type, enabled=False):
            points = None
            if prompts.points is not None and prompts.point_labels is not None:
                points = (prompts.points.float(), prompts.point_labels.float())
            sparse, dense = pe(points, prompts.boxes, prompts.masks)
            image_pe = pe.get_dense_pe()
        dtype = features.image.dtype
        head = self.mask_decoder
        logits: Tensor = head.mask_decoder(
            features.image,
            image_pe.to(dtype),
            features.pyramid,
            head.label_token.weight,
            sparse.to(dtype),
            dense.to(dtype),
            prompts,
        )
        return logits

    def embed(self, features: Features, head_boxes: Tensor, clip_boxes: Tensor) -> Embeddings:
        """Embeddings of N regions of one image.

        Args:
            features: of one image (B = 1).
            head_boxes: (N, 4) xyxy in input pixels, read by the head from the pyramid.
            clip_boxes: (N, 4) xyxy in input pixels, read by the frozen encoder's own branch.

        Returns:
            Both branches' embeddings; an empty head box gives a zero embedding with the paper's
            head.
        """
        d = self.description
        zeros = head_boxes.new_zeros((len(head_boxes), 1))
        regions = align_pyramid(features.pyramid, torch.cat([zeros, head_boxes], 1), d.roi_size)
        rois = torch.cat([zeros, clip_boxes], 1)
        last = align_regions(features.last, rois, d.encoder_roi_size, 32)
        pooled = self.backbone.features(last)
        return Embeddings(self.mask_decoder.embed(regions, pooled), self.backbone.embed(pooled))


def mask_boxes(masks: Tensor) -> Tensor:
    """The box of each mask.

    Args:
        masks: (N, h, w) bool.

    Returns:
        (N, 4) int64 xyxy in cells, x2 and y2 exclusive; zeros for an empty mask.
    """
    rows, columns = masks.any(2), masks.any(1)

    def ends(line: Tensor) -> tuple[Tensor, Tensor]:
        flags = line.to(torch.uint8)
        return flags.argmax(1), flags.shape[1] - flags.flip(1).argmax(1)

    (y1, y2), (x1, x2) = ends(rows), ends(columns)
    boxes = torch.stack([x1, y1, x2, y2], 1)
    return torch.where(rows.any(1, keepdim=True), boxes, torch.zeros_like(boxes))
