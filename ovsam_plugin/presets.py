"""The named models: each a description of a network and of what goes with it, never a branch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches

from ovsam_plugin.checkpoints import sources
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.prediction.judge import BY_STABILITY, Judge
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.recognition.text_side import TextSide, single_branch
from ovsam_plugin.vocabulary.templates import CLIP_TEMPLATES, PLAIN_TEMPLATES


@dataclass(frozen=True, kw_only=True)
class Preset(TextSide):
    """One model that a user can name.

    Attributes:
        network: sizes of the network.
        weights_file: file under `ovsam_plugin/weights`, or None where weights must be fetched.
        licence: of the weights, as shown to the user.
        namer: who names the masks unless the user says otherwise; None where the network does.
        pool_prompt_box: read a box prompt's own box, not the predicted mask's, when naming it.
        inside_boxes: cut the answer to a box prompt at that box.
        asked, found: how surely an answer to a prompt, and one that nobody asked for, is a whole
            thing.
        min_objectness: below which an instance that nobody asked for is left out, for the best F1.
        everything_points: lattice points along the longer side when nothing is asked.
        far: where nothing is asked, large things are looked for in a picture this many times as
            large, too; 0 is no second look. A network that was trained on crops has seen nothing
            larger than these whole.
    """

    network: NetworkDescription
    weights_file: str | None = None
    licence: str
    namer: str | None = None
    pool_prompt_box: bool = False
    inside_boxes: bool = False
    asked: Judge = BY_STABILITY
    found: Judge = BY_STABILITY
    min_objectness: float = 0.5
    everything_points: int = 32
    far: float = 0.0


_RN50X16 = NetworkDescription(encoder="clip:RN50x16", embed_dim=768)
# The authors measure their LVIS heads with 7 x 7 bins: the paper's figures are of these.
_LVIS = replace(_RN50X16, roi_size=7)
_PUBLISHED_LICENCE = (
    "OVSAM code S-Lab Licence 1.0 (non-commercial), its weights' own licence undeclared; "
    "SAM Apache-2.0; CLIP MIT"
)

_ALL = (
    Preset(
        name="ovsam-lite",
        network=NetworkDescription(
            encoder="timm:tf_efficientnet_lite2",
            embed_dim=384,
            image_size=640,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            area_downscale=True,
            neck_dim=160,
            neck_depth=3,
            neck_heads=8,
            neck_global=(2,),
            channels=128,
            decoder_mlp=512,
            fpn_channels=96,
            roi_size=7,
            encoder_roi_size=7,
            pooled_hidden=512,
            pooled_context=True,
            prompt_raster=True,
            objectness=True,
            region_masks=True,
            region_width=96,
            skips=True,
            pad_square=False,
        ),
        text_tower="minilm",
        templates=PLAIN_TEMPLATES,
        fusion=Fusion(seen_weight=0.2, unseen_weight=0.8, head_scale=20.0, clip_scale=30.0),
        seen="coco",
        weights_file="ovsam-lite.safetensors",
        licence="Apache-2.0; trained in part on non-commercial photographs, see MODEL_CARD.md",
        pool_prompt_box=True,
        inside_boxes=True,
        asked=Judge(bias=-2.997, thing=1.443, quality=-0.608),
        found=Judge(bias=-1.11, thing=0.527, quality=0.344, likely=1.717, rival=2.331),
        min_objectness=0.15,
        everything_points=16,
        far=0.5,
    ),
    Preset(
        name="ovsam-rn50x16-coco",
        network=_RN50X16,
        text_tower="openclip:RN50x16/openai",
        templates=CLIP_TEMPLATES,
        fusion=Fusion(),
        seen="coco/base",
        release=sources.COCO,
        licence=_PUBLISHED_LICENCE,
    ),
    Preset(
        name="ovsam-rn50x16-lvis",
        network=_LVIS,
        text_tower="openclip:RN50x16/openai",
        templates=CLIP_TEMPLATES,
        fusion=Fusion(),
        seen="lvis/base",
        release=sources.LVIS,
        licence=_PUBLISHED_LICENCE,
    ),
    Preset(
        name="ovsam-rn50x16-demo",
        network=_LVIS,
        text_tower="openclip:RN50x16/openai",
        templates=CLIP_TEMPLATES,
        fusion=Fusion(),
        seen="lvis/base",
        release=sources.DEMO,
        licence=_PUBLISHED_LICENCE,
    ),
)
PRESETS = {preset.name: preset for preset in _ALL}
"""Those that name what they draw."""


def _sam(name: str, namer: str, licence: str) -> Preset:
    """Masks of segment_anything, whose checkpoint is given by its path, named by open_clip."""
    return Preset(
        name=name,
        network=NetworkDescription(encoder="sam", embed_dim=1, area_downscale=True),
        text_tower=namer,
        templates=CLIP_TEMPLATES,
        fusion=single_branch(),
        licence=f"SAM Apache-2.0; {licence}; free for commercial use",
        namer=namer,
    )


SAM_PRESETS = {
    preset.name: preset
    for preset in (
        _sam("sam-siglip2", "openclip:ViT-SO400M-16-SigLIP2-384/webli", "SigLIP 2 Apache-2.0"),
        _sam("sam-clip", "openclip:ViT-B-32/laion2b_s34b_b79k", "OpenCLIP's weights MIT"),
    )
}
"""Those that draw alone, each with who names."""


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = {**PRESETS, **SAM_PRESETS}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown preset {name!r}.{hint} Presets: {', '.join(known)}")
