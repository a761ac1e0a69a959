"""segment_anything's models: their checkpoints, and their masks in the place of OVSAM's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor, nn

from ovsam_plugin.checkpoints.assemble import compare_keys
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.image_encoder import ImageEncoder
from ovsam_plugin.network.objectness import Proposals
from ovsam_plugin.network.ovsam import Embeddings, Features, Masks
from ovsam_plugin.network.prompt_encoder import PromptBatch

SAM_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_WIDTH_KEY = "image_encoder.pos_embed"


def load_sam(path: str | Path) -> Sam:
    """One of segment_anything's models; which, is read from the checkpoint.

    Args:
        path: such as sam_vit_h_4b8939.pth.

    Returns:
        The model in float32 on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a checkpoint of SAM, or holds more than tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no SAM checkpoint at {path}")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        # torch's own words advise to load it all the same, which runs what it holds.
        raise ValueError(
            f"{path} is not a checkpoint of tensors alone: take it from segment_anything's own "
            "addresses"
        ) from error
    width = state[_WIDTH_KEY].shape[-1] if isinstance(state, dict) and _WIDTH_KEY in state else None
    if width not in SAM_WIDTHS:
        raise ValueError(
            f"{path} is not one of segment_anything's checkpoints: need "
            f"{', '.join(SAM_WIDTHS.values())} as its authors published them"
        )
    sam = empty_sam(SAM_WIDTHS[width])
    problems = compare_keys(sam.state_dict(), state)
    if problems:
        raise ValueError(f"{path} does not fit {SAM_WIDTHS[width]}:\n" + "\n".join(problems))
    sam.load_state_dict(state, assign=True)
    return sam.float().eval().requires_grad_(False)


def empty_sam(name: str) -> Sam:
    """A model of segment_anything's registry without weights, on the meta device."""
    with torch.device("meta"):
        sam: Sam = sam_model_registry[name]()
    # Constants that no checkpoint holds.
    sam.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1)
    sam.pixel_std = torch.tensor([58.395, 57.12, 57.375]).view(-1, 1, 1)
    return sam.eval().requires_grad_(False)


def answer(sam: Sam, features: Tensor, prompts: PromptBatch) -> tuple[Tensor, Tensor]:
    """SAM's mask for each of N prompts that are alike.

    A single point is ambiguous: of SAM's three masks the one it holds best is taken, as its
    authors advise; every other prompt gets its one mask.

    Args:
        sam: the model.
        features: (1, C, s, s) of one image.
        prompts: in pixels of the resized image.

    Returns:
        (N, 4 s, 4 s) float32 logits over the padded square, and (N,) the IoU that SAM expects.
    """
    points, several = None, False
    if prompts.points is not None:
        assert prompts.point_labels is not None
        points = (prompts.points, prompts.point_labels)
        several = prompts.points.shape[1] == 1
    sparse, dense = sam.prompt_encoder(points=points, boxes=prompts.boxes, masks=prompts.masks)
    logits, quality = sam.mask_decoder(
        image_embeddings=features,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=several,
    )
    best = quality.argmax(1)
    rows = torch.arange(len(best), device=best.device)
    return logits[rows, best].float(), quality[rows, best].float()


class _Backbone(ImageEncoder):
    """SAM's image encoder under the name that OVSAM's has."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def fused(self, *, in_place: bool = False) -> ImageEncoder:
        """Itself: it has no normalisation to fold away."""
        return self


class SamNetwork(nn.Module):
    """SAM in the place of OVSAM's network: the same prompts and masks, and no names.

    Args:
        sam: with its weights.

    Attributes:
        description: what photographs have to be made into.
        objectness, region_masks: heads that it does not have.
    """

    objectness = None
    region_masks = None

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.sam = sam
        self.backbone: ImageEncoder = _Backbone(sam.image_encoder)
        self.description = NetworkDescription(
            encoder="sam",
            embed_dim=1,
            image_size=sam.image_encoder.img_size,
            area_downscale=True,
        )

    def encode(self, pixels: Tensor) -> Features:
        """(B, 3, S, S) normalised, zero-padded pixels -> SAM's features."""
        features = self.sam.image_encoder(pixels)
        return Features(features, [], features)

    def answer(
        self, features: Features, prompts: PromptBatch, proposals: Proposals | None = None
    ) -> Masks:
        """See `OVSAM.answer`; the quality is the IoU that SAM expects."""
        logits, quality = answer(self.sam, features.image, prompts)
        whole = Masks.whole(logits)
        return Masks(whole.logits, whole.windows, quality.clamp(0, 1))

    def embed(self, features: Features, head_boxes: Tensor, clip_boxes: Tensor) -> Embeddings:
        """Nothing: a namer makes the embeddings."""
        nothing = head_boxes.new_zeros((len(head_boxes), self.description.embed_dim))
        return Embeddings(nothing, nothing)
