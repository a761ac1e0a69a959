"""SAM for the masks and CLIP for the names, each with a backbone of its own.

The paper's 808 M baseline is ViT-H SAM with RN50x16 CLIP. Both checkpoints are the user's: one of
segment_anything's and one of open_clip's, read without trusting them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor, nn

from ovsam_plugin.baselines.building import Naming, choose, embedders_of
from ovsam_plugin.baselines.context import Context
from ovsam_plugin.baselines.method import SAM, Method
from ovsam_plugin.baselines.segmenter import Segmented, Shared
from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.images.frame import Frame
from ovsam_plugin.images.mask_crop import NOTHING, MaskCrop
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.namers.clip_tower import clip_tower
from ovsam_plugin.network.cost import Cost, count_run
from ovsam_plugin.network.ovsam import mask_boxes
from ovsam_plugin.network.resample import MaskResampler
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.judge import BY_STABILITY
from ovsam_plugin.prediction.predictor import CHUNK, STABILITY_OFFSET
from ovsam_plugin.prediction.prompt_batch import alike, prompt_batch
from ovsam_plugin.prediction.prompts import Prompt
from ovsam_plugin.prediction.sam import answer, load_sam
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.vocabulary.classifier import build_classifier
from ovsam_plugin.vocabulary.openclip import OpenClipTower
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.templates import CLIP_TEMPLATES
from ovsam_plugin.vocabulary.text import load_openclip, text_tower_fingerprint
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


class SamSegmenter:
    """SAM's masks, as its authors' predictor gives them.

    A single point is ambiguous: of SAM's three masks the one it holds best is taken, as its
    authors advise; every other prompt gets its one mask.

    Args:
        sam: with its weights, in evaluation mode, on its device.
        chunk: prompts decoded at once.
    """

    def __init__(self, sam: Sam, chunk: int = CHUNK) -> None:
        self.sam = sam
        self.chunk = chunk
        self.segment = Shared(self._segment)

    @torch.inference_mode()
    def _segment(self, image: Pixels, prompts: tuple[Prompt, ...]) -> Segmented:
        sam, (height, width) = self.sam, image.shape[:2]
        placed = [prompt.on_image(width, height) for prompt in prompts]
        side: int = sam.image_encoder.img_size
        frame = Frame(ResizeLongestSide(side).apply_image(image), (height, width))
        pixels = torch.from_numpy(frame.pixels.copy()).permute(2, 0, 1)[None].to(sam.device)
        features = sam.image_encoder(sam.preprocess(pixels))
        resampler = MaskResampler.build(side // 4, side, frame.size, (height, width))
        crops = [NOTHING] * len(placed)
        stability = np.ones(len(placed), np.float32)
        for part in alike(placed, self.chunk):
            if placed[part[0]].drawn is not None:
                for i in part:
                    crops[i] = placed[i].drawn or NOTHING
                continue
            logits = self._decode(features, frame, [placed[i] for i in part])
            higher = (logits > STABILITY_OFFSET).sum((1, 2))
            lower = (logits > -STABILITY_OFFSET).sum((1, 2)).clamp(min=1)
            stability[part] = (higher / lower).cpu().numpy()
            cells = mask_boxes(logits > 0).cpu().numpy()
            for row, x, y, mask in resampler.masks(logits, cells):
                crops[part[row]] = MaskCrop.at(mask, x, y)
        nothing = np.zeros((len(placed), 0), np.float32)
        boxes = np.array([crop.box for crop in crops], np.int64).reshape(-1, 4)
        packed = PackedMasks(tuple(crops))
        sure = BY_STABILITY(stability=torch.from_numpy(stability)).numpy()
        return Segmented(
            Instances(
                (height, width), boxes, packed, stability, sure, nothing, nothing, tuple(placed)
            )
        )

    def _decode(self, features: Tensor, frame: Frame, prompts: Sequence[Prompt]) -> Tensor:
        """(N, s, s) float32 mask logits of prompts that are alike."""
        side = self.sam.image_encoder.img_size
        batch = prompt_batch(prompts, frame, (side, side), self.sam.device)
        return answer(self.sam, features, batch)[0]

    def cost(self, prompts: int) -> Cost:
        """Image encoder once, mask decoder for each box."""
        return sam_cost(self.sam, prompts)


def sam_cost(sam: Sam, prompts: int) -> Cost:
    """Of one image with that many boxes; `sam` may be on the meta device."""

    def run(_: nn.Module) -> None:
        side, device = sam.image_encoder.img_size, next(sam.parameters()).device
        features = sam.image_encoder(torch.empty(1, 3, side, side, device=device))
        boxes = torch.empty(prompts, 4, device=device)
        sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
        sam.mask_decoder(
            image_embeddings=features,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )

    return count_run(sam, run)


def build_two_backbones(
    names: Sequence[str],
    *,
    sam: str | Path | Sam,
    clip: str,
    vocabulary: str | Path | Sequence[str] | Vocabulary,
    contexts: Sequence[Context | str | Path] = (),
    device: str = "auto",
    chunk: int = CHUNK,
) -> list[Method]:
    """The crop baselines, and SAM alone, with two backbones.

    Args:
        names: "image-crop", "feature-crop", each also with "+coop", and "sam"; the rows are called
            "sam+image-crop" and so on.
        sam: segment_anything's checkpoint, or one loaded.
        clip: "openclip:MODEL/WEIGHTS" as a text tower is named, for example
            "openclip:RN50x16/PATH/TO/FILE"; both halves are used.
        vocabulary: to name from.
        contexts: learned contexts, or their files, for the "+coop" methods.
        device: "auto", or a torch device.
        chunk: prompts decoded at once.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file is not what it should be, there is no such method, or no context for it.
    """
    place = pick_device(device)
    model, tokenizer = load_openclip(clip)
    image_half = clip_tower(clip.partition(":")[2].partition("/")[0], model.to(place))
    text_half = OpenClipTower(clip, model, tokenizer, text_tower_fingerprint(clip), str(place))
    loaded = sam if isinstance(sam, Sam) else load_sam(sam)
    segmenter = SamSegmenter(loaded.to(place), chunk)
    embedders = embedders_of(segmenter, image_half, shared=False)
    classifier = build_classifier(load_vocabulary(vocabulary), text_half, CLIP_TEMPLATES)
    naming = Naming(classifier, Fusion().clip_scale, text_half, str(place))
    methods = choose(names, segmenter, embedders, naming, contexts)
    for method in methods:
        method.name = method.name if method.name == SAM else f"{SAM}+{method.name}"
    return methods
