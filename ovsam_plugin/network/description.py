"""A network of any size, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """Everything that decides the shapes and the arithmetic of one OVSAM network.

    The defaults are the paper's (arXiv 2401.02955): those of `ovsam-rn50x16-*`.

    Attributes:
        encoder: `clip:NAME` for an open_clip ModifiedResNet (RN50, RN50x4, RN50x16, RN50x64), or
            `timm:NAME` for a convolutional classifier of timm with an EfficientNet layout.
        image_size: pixels of the square that images are padded to, after their long side is
            resized to it; a multiple of 32.
        mean, std: of the pixel values 0..255, per RGB channel.
        area_downscale: shrink photographs by area averaging (no aliasing) rather than by the
            reference's plain bilinear samples.
        neck_dim, neck_depth, neck_heads, neck_window, neck_global: SAM2CLIP's ViT blocks; those
            whose index is in `neck_global` attend everywhere, the others inside windows.
        channels: of the neck's output, the prompts and the mask decoder.
        decoder_heads, decoder_mlp: of the two-way transformer.
        fpn_channels: of CLIP2SAM's feature pyramid.
        embed_dim: of an instance's embeddings and of the text embeddings.
        roi_size: bins a side that the head's RoIAlign gives.
        encoder_roi_size: bins a side for the frozen encoder's own branch; for CLIP it is the size
            of the attention pool and must not be changed.
        pooled_hidden: width of an MLP that adds the frozen encoder's pooled features to the head's
            embedding; 0 leaves the paper's head.
        pooled_context: that MLP also reads a region twice as wide and high, what is around a thing
            being half of what tells a small one.
        prompt_raster: also give the decoder prompts drawn as maps, which a small network learns
            from far sooner than from coordinates alone.
        objectness: also have a head that proposes boxes of things, for everything mode and points.
        region_masks: also have a head that draws each mask again inside its own box.
        region_width: channels of that head.
        pad_square: pad images to a square, as the paper does; else only to a multiple of 32.
        skips: also give the decoder the pyramid's stride 8 and 4 levels, for sharper edges.
    """

    encoder: str
    embed_dim: int
    image_size: int = 1024
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    area_downscale: bool = False
    neck_dim: int = 1280
    neck_depth: int = 5
    neck_heads: int = 16
    neck_window: int = 14
    neck_global: tuple[int, ...] = (4,)
    channels: int = 256
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    fpn_channels: int = 256
    roi_size: int = 12
    encoder_roi_size: int = 12
    pooled_hidden: int = 0
    pooled_context: bool = False
    prompt_raster: bool = False
    objectness: bool = False
    region_masks: bool = False
    region_width: int = 64
    pad_square: bool = True
    skips: bool = False
