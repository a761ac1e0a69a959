"""Open-Vocabulary SAM: the parts put together under the names of the published checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ovsam_plugin.network.click_masks import answer_clicks
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import FeaturePyramid, align_pyramid, align_regions
from ovsam_plugin.network.image_encoder import build_image_encoder
from ovsam_plugin.network.mask_decoder import RecognizingDecoder
from ovsam_plugin.network.objectness import ObjectnessHead, Proposals
from ovsam_plugin.network.prompt_encoder import PromptBatch, build_prompt_encoder
from ovsam_plugin.network.region_masks import RegionFeatures, RegionMaskHead, windows
from ovsam_plugin.network.sam2clip import Sam2ClipNeck


@dataclass(frozen=True)
class Features:
    """All that one pass of the encoder gives, for one image or a batch.

    Attributes:
        image: (B, channels, S/16, S/16), the neck's output.
        pyramid: four maps (B, fpn_channels, S/s, S/s) at strides 4, 8, 16, 32.
        last: (B, C, S/32, S/32), the frozen encoder's last stage.
        regions: what the region head reads, if the network has one.
    """

    image: Tensor
    pyramid: list[Tensor]
    last: Tensor
    regions: RegionFeatures | None = None

    def __getitem__(self, index: int) -> Features:
        """One image of the batch, as views with a batch axis of 1."""
        part = slice(index, index + 1)
        return Features(
            self.image[part],
            [level[part] for level in self.pyramid],
            self.last[part],
            self.regions[part] if self.regions else None,
        )


class Masks(NamedTuple):
    """N masks on one image.

    Attributes:
        logits: (N, h, w) float32, each over its own window.
        windows: (N, 4) float32 xyxy in input pixels.
        quality: (N,) in 0..1, the IoU that each is expected to have with what was asked for; None
            where nothing says so.
        thing: (N,) in 0..1, how surely each is one whole thing; None where nothing says so.
    """

    logits: Tensor
    windows: Tensor
    quality: Tensor | None = None
    thing: Tensor | None = None

    @classmethod
    def whole(cls, logits: Tensor) -> Masks:
        """Of (N, h, w) logits over all of the padded image, at a quarter of its size."""
        h, w = logits.shape[-2:]
        return cls(logits, logits.new_tensor([0, 0, 4 * w, 4 * h]).expand(len(logits), -1))


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
        self.region_masks = RegionMaskHead(description) if description.region_masks else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mask_decoder.label_token.weight.device

    def encode(self, pixels: Tensor) -> Features:
        """(B, 3, S, S) normalised, zero-padded pixels -> everything that prompts need."""
        stages = self.backbone(pixels)
        image, pyramid = self.neck(stages), self.fpn_neck(stages)
        head = self.region_masks
        regions = head.project(image, pyramid) if head else None
        return Features(image, pyramid, stages[3], regions)

    def answer(
        self, features: Features, prompts: PromptBatch, proposals: Proposals | None = None
    ) -> Masks:
        """The best mask that the network has for each of N prompts on one image.

        Args:
            features: of one image (B = 1).
            prompts: in pixels of the resized image.
            proposals: of the same image; a network with a region head needs them for points.
        """
        head = self.region_masks
        if head is None or features.regions is None:
            return Masks.whole(self.decode(features, prompts)[:, 0].float())
        if prompts.boxes is not None:
            coarse = self.decode(features, prompts) if prompts.masks is not None else None
            drawn = head(features.regions, prompts.boxes, coarse=coarse)
            return Masks(
                drawn.logits, windows(prompts.boxes), drawn.quality.sigmoid(), drawn.thing.sigmoid()
            )
        if proposals is None:
            raise ValueError("points need the proposals of their image")
        drawn, frames = answer_clicks(head, features.regions, prompts, proposals)
        return Masks(drawn.logits, frames, drawn.quality, drawn.thing)

    def decode(self, features: Features, prompts: PromptBatch) -> Tensor:
        """Mask logits of N prompts on one image.

        Args:
            features: of one image (B = 1); shared by all prompts, not copied.
            prompts: in pixels of the resized image.

        Returns:
            (N, 1, H/4, W/4) logits over the padded image.
        """
        # SAM's encoder keeps the image's size: in a copy, of the attributes and not of the weights,
        # since another thread may decode a photograph of another shape.
        pe = copy.copy(self.pe)
        h, w = features.image.shape[-2:]
        # Positions are shares of the square's side, also where no square is padded.
        side = max(h, w)
        pe.image_embedding_size = (side, side)
        pe.input_image_size = (side * 16, side * 16)
        # Fourier features of coordinates lose pixels in half precision.
        with torch.autocast(features.image.device.type, enabled=False):
            points = None
            if prompts.points is not None and prompts.point_labels is not None:
                points = (prompts.points.float(), prompts.point_labels.float())
            sparse, dense = pe(points, prompts.boxes, prompts.masks)
            if prompts.masks is None:  # the same for all prompts
                dense = dense[:1]
            dense, image_pe = dense[..., :h, :w], pe.get_dense_pe()[..., :h, :w]
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

    def embed(
        self,
        features: Features,
        head_boxes: Tensor,
        clip_boxes: Tensor,
        index: Tensor | None = None,
    ) -> Embeddings:
        """Embeddings of N regions.

        Args:
            features: of one image, or of a batch.
            head_boxes: (N, 4) xyxy in input pixels, read by the head from the pyramid.
            clip_boxes: (N, 4) xyxy in input pixels, read by the frozen encoder's own branch.
            index: (N,) which image of the batch each is on; the first when not given.

        Returns:
            Both branches' embeddings; an empty head box gives a zero embedding with the paper's
            head.
        """
        d = self.description
        owner = head_boxes.new_zeros(len(head_boxes)) if index is None else index.to(head_boxes)
        owner = owner[:, None]
        regions = align_pyramid(features.pyramid, torch.cat([owner, head_boxes], 1), d.roi_size)
        rois = torch.cat([owner, clip_boxes], 1)
        last = align_regions(features.last, rois, d.encoder_roi_size, 32)
        pooled = self.backbone.features(last)
        read = pooled
        if d.pooled_context:
            around = torch.cat([owner, surroundings(clip_boxes, features.last.shape[-2:])], 1)
            context = align_regions(features.last, around, d.encoder_roi_size, 32)
            read = torch.cat([pooled, self.backbone.features(context)], 1)
        return Embeddings(self.mask_decoder.embed(regions, read), self.backbone.embed(pooled))


def surroundings(boxes: Tensor, cells: Sequence[int]) -> Tensor:
    """(N, 4) xyxy boxes twice as wide and high, cut to a map of (h, w) cells of 32 pixels."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    limit = boxes.new_tensor([cells[1], cells[0], cells[1], cells[0]]) * 32
    return torch.cat([middle - half, middle + half], 1).clamp(min=0).minimum(limit)


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
