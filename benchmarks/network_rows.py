"""The rows of the network: its parts beside what they replace. Weights are random where time does
not depend on them."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.bench import Bench, Row
from ovsam_plugin.prediction.prompts import Box, Grid
from ovsam_plugin.presets import get_preset


def neck(bench: Bench) -> list[Row]:
    from segment_anything.modeling.image_encoder import Block

    preset = get_preset("ovsam-rn50x16-coco").network
    ours = bench.published().network.neck.blocks
    theirs = nn.ModuleList(
        Block(
            dim=preset.neck_dim,
            num_heads=preset.neck_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=0 if i in preset.neck_global else preset.neck_window,
            input_size=(64, 64),
        )
        for i in range(preset.neck_depth)
    )
    theirs.load_state_dict(ours.state_dict())
    theirs = theirs.eval().requires_grad_(False).to(bench.device)
    x = torch.randn(1, 64, 64, preset.neck_dim, device=bench.device)
    mine, sams = (nn.Sequential(*blocks) for blocks in (ours, theirs))
    ratio = bench.ratio(lambda: sams(x), lambda: mine(x))
    rows = [Row("neck, fp32, against SAM's blocks", ratio, 1.15)]
    if bench.has_bf16:
        ratio = bench.ratio(lambda: sams(x), bench.computing("bf16", lambda: mine(x)))
        rows.append(Row("neck, bf16, against SAM's blocks in fp32", ratio, 2.3))
    return rows


def encoder(bench: Bench) -> list[Row]:
    if not bench.has_bf16:
        return []
    whole = bench.published()
    half, frame = whole.at_precision("bf16"), whole.preprocess(bench.photograph())
    ratio = bench.ratio(lambda: whole.encode([frame]), lambda: half.encode([frame]))
    return [Row("encoder, neck and pyramid, bf16 against fp32", ratio, 1.8)]


def decoder(bench: Bench) -> list[Row]:
    from segment_anything.modeling.mask_decoder import MaskDecoder
    from segment_anything.modeling.transformer import TwoWayTransformer

    ours = bench.published()
    theirs = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048))
    theirs = theirs.eval().requires_grad_(False).to(bench.device)
    (encoding,) = ours.encode([ours.preprocess(bench.photograph())])
    batch = ours._prompt_batch(encoding, tuple(bench.boxes(20 if bench.quick else 100)))
    pe, image = ours.network.pe, encoding.features.image

    def sams() -> None:
        for i in range(0, len(batch), 16):
            part = batch[i : i + 16]
            sparse, dense = pe(None, part.boxes, None)
            theirs(image, pe.get_dense_pe(), sparse, dense, multimask_output=False)

    def mine() -> None:
        for i in range(0, len(batch), 16):
            ours.network.decode(encoding.features, batch[i : i + 16])

    rows = [Row("decoder of boxes, fp32, against SAM's", bench.ratio(sams, mine), 1.5)]
    if bench.has_bf16:
        ratio = bench.ratio(sams, bench.computing("bf16", mine))
        rows.append(Row("decoder of boxes, bf16, against SAM's in fp32", ratio, 2.5))
    return rows


def photograph(bench: Bench) -> list[Row]:
    """The whole network beside SAM, whose masks are cut out and embedded by the same CLIP."""
    from segment_anything import SamPredictor, sam_model_registry

    from ovsam_plugin.namers.tower import Tower

    ours, image = bench.published(), bench.photograph()
    tower = Tower.of(ours)
    rows = []
    for name, count, target in (("vit_h", 10, 2.8), ("vit_b", 50, 2.5)):
        sam = SamPredictor(sam_model_registry[name]().eval().requires_grad_(False).to(bench.device))
        boxes = bench.boxes(count)
        corners = torch.tensor([box.xyxy for box in boxes], device=bench.device)
        crops = [
            np.ascontiguousarray(cv2.resize(image, (tower.crop_size, tower.crop_size)))
        ] * count

        def theirs(
            sam: Any = sam, corners: torch.Tensor = corners, crops: list[Any] = crops
        ) -> None:
            sam.set_image(image)
            asked = sam.transform.apply_boxes_torch(corners, image.shape[:2])
            sam.predict_torch(None, None, boxes=asked, multimask_output=False)
            tower.embed_pictures(crops)

        def mine(boxes: list[Box] = boxes) -> None:
            (encoding,) = ours.encode([ours.preprocess(image)])
            ours.decode(encoding, boxes)

        ratio = bench.ratio(theirs, mine)
        rows.append(Row(f"{count} boxes against SAM {name} and CLIP on crops", ratio, target))
    return rows


def everything(bench: Bench) -> list[Row]:
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    from ovsam_plugin.prediction.everything import find_everything

    side = 8 if bench.quick else 32
    ours, image = bench.published(), bench.photograph()
    sam = sam_model_registry["vit_b"]().eval().requires_grad_(False).to(bench.device)
    # The decoders alone: the encoders differ, and each runs once.
    embedding = torch.randn(1, 256, 64, 64, device=bench.device)
    sam.image_encoder.forward = lambda _: embedding
    # No answer is left out before it is counted: what random weights think of theirs says nothing.
    generator = SamAutomaticMaskGenerator(
        sam, points_per_side=side, pred_iou_thresh=-9.0, stability_score_thresh=0.0
    )
    (encoding,) = ours.encode([ours.preprocess(image)])
    ratio = bench.ratio(
        lambda: generator.generate(image), lambda: find_everything(ours, encoding, Grid(side))
    )
    return [Row(f"everything of {side} x {side} points against SAM's generator", ratio, 3.0)]


def pool(bench: Bench) -> list[Row]:
    from ovsam_plugin.network.image_encoder import attention_pool

    head: Any = bench.published().network.backbone.head
    regions = torch.randn(10 if bench.quick else 100, 3072, 12, 12, device=bench.device)
    with torch.inference_mode():
        far = float((head(regions[:4]) - attention_pool(head, regions[:4])).abs().max())
    ratio = bench.ratio(lambda: head(regions), lambda: attention_pool(head, regions))
    return [
        Row("CLIP's attention pool against open_clip's", ratio, 2.0),
        Row("the largest difference of its numbers", far, 1e-4, at_least=False),
    ]


def vocabulary(bench: Bench) -> list[Row]:
    from ovsam_plugin.prediction.labeler import load_labeler

    image, boxes = bench.photograph(), bench.boxes(10)
    few, many = (
        load_labeler("ovsam-lite", vocabulary=name, device=str(bench.device))
        for name in ("coco", "open-22k")
    )
    ratio = bench.ratio(
        lambda: many.label_image(image, boxes), lambda: few.label_image(image, boxes)
    )
    return [Row("22,000 classes against 80, ovsam-lite, 10 boxes", ratio, 1.1, at_least=False)]
