"""Where the published checkpoints are and what is in them, as plain data.

A preset has a release, a release has parts, a part is a file and the share of the assembled model
that is taken from it. Sizes and hashes are those that the publishers' servers give; where no hash
was known when this was written, the first one seen is kept (`record.remember`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class File:
    """One published file.

    Attributes:
        name: as published, and as `--from DIR` looks for it.
        address: where it is fetched.
        size: in bytes; None where only `about` is known.
        about: roughly, for messages.
        sha256: hex, the whole or its beginning; "" where none is known.
        mirrors: other addresses of the very same file.
        alternatives: names of other files that hold the same tensors, which `--from DIR` takes too.
    """

    name: str
    address: str
    size: int | None = None
    about: int
    sha256: str = ""
    mirrors: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = self.size or self.about
        amount = f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
        return f"{self.name} ({'' if self.size else 'about '}{amount}) {self.address}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one file gives to the assembled model.

    Attributes:
        file: where it is.
        takes: prefixes of the assembled model's keys that come from this file.
        renames: (prefix in the file, prefix in the assembled model).
        leaves: prefixes in the file that are not wanted. A key of another part's share must have
            that part's numbers; any other key is an error.
        excerpt: only a sliver of the file is wanted, so it is read in place.
    """

    file: File
    takes: tuple[str, ...]
    renames: tuple[tuple[str, str], ...] = ()
    leaves: tuple[str, ...] = ()
    excerpt: bool = False

    def rename(self, key: str) -> str:
        """A key of the file as the assembled model calls it."""
        for old, new in self.renames:
            if key.startswith(old):
                return new + key.removeprefix(old)
        return key


@dataclass(frozen=True, kw_only=True)
class Release:
    """One published set of checkpoints.

    Attributes:
        parts: all that the model is assembled from.
        licence: shown before anything is fetched.
        classifier: a file with the text embeddings of LVIS's classes in the order of their ids,
            (1203, synonyms, D), used in place of embeddings made here; None when there is none.
    """

    parts: tuple[Part, ...]
    licence: str
    classifier: File | None = None

    @property
    def files(self) -> tuple[File, ...]:
        """Every file, the classifier's last."""
        extra = () if self.classifier is None else (self.classifier,)
        return (*(part.file for part in self.parts), *extra)


LICENCE = """\
The weights of {name} are put together from files of three publishers:

- OVSAM (github.com/HarborYuan/ovsam): its code is under the S-Lab License 1.0, which allows
  non-commercial use only. The files of weights state no licence of their own. For any other use,
  ask the authors.
- Segment Anything (github.com/facebookresearch/segment-anything), prompt encoder: Apache-2.0.
- CLIP (github.com/openai/CLIP), image and text towers: MIT.

You fetch them from their publishers, and their terms are between you and them."""

_HUB = "https://huggingface.co"
_MODELS = f"{_HUB}/HarborYuan/ovsam_models/resolve/main"
_DEMO = f"{_HUB}/spaces/HarborYuan/ovsam/resolve/main/models"

# sha256 of OpenAI's files, which are part of their addresses, and about how long they are.
_CLIP = {
    "RN50": ("afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", 256_000_000),
    "RN50x4": ("7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd", 422_000_000),
    "RN50x16": ("52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa", 661_000_000),
    "RN50x64": ("be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c", 1_320_000_000),
}

CLIP_TEXT = (
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
)
"""Prefixes of the text tower in CLIP's file."""
_CLIP_REST = ("logit_scale", "attn_mask", "input_resolution", "context_length", "vocab_size")


def clip_file(model: str) -> File:
    """OpenAI's file of a CLIP ResNet, the same that open_clip knows as `openai`.

    Raises:
        ValueError: there is none of that name.
    """
    if model not in _CLIP:
        raise ValueError(f"OpenAI has no CLIP ResNet {model!r} that fits: {', '.join(_CLIP)}")
    sha256, about = _CLIP[model]
    path = f"clip/models/{sha256}/{model}.pt"
    return File(
        name=f"{model}.pt",
        address=f"https://openaipublic.azureedge.net/{path}",
        mirrors=(f"https://openaipublic.blob.core.windows.net/{path}",),
        about=about,
        sha256=sha256,
        alternatives=(f"{model}.safetensors", "open_clip_model.safetensors"),
    )


def clip_part(model: str) -> Part:
    """The image encoder, out of CLIP's file, of which the text tower is the rest."""
    return Part(
        file=clip_file(model),
        takes=("backbone.",),
        renames=(
            ("visual.conv1.", "backbone.stem.0."),
            ("visual.bn1.", "backbone.stem.1."),
            ("visual.conv2.", "backbone.stem.3."),
            ("visual.bn2.", "backbone.stem.4."),
            ("visual.conv3.", "backbone.stem.6."),
            ("visual.bn3.", "backbone.stem.7."),
            ("visual.attnpool.", "backbone.head."),
            ("visual.layer", "backbone.layer"),
        ),
        leaves=(*CLIP_TEXT, *_CLIP_REST),
    )


SAM_FILE = File(
    name="sam_vit_h_4b8939.pth",
    address="https://dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth",
    size=2_564_550_879,
    about=2_564_550_879,
    sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
)
SAM_PART = Part(
    file=SAM_FILE,
    takes=("pe.",),
    renames=(("prompt_encoder.", "pe."),),
    leaves=("image_encoder.", "mask_decoder."),
    excerpt=True,
)


def _neck(file: File) -> Part:
    return Part(
        file=file,
        takes=("neck.",),
        renames=(("neck_student.", "neck."), ("backbone_student.", "backbone.")),
    )


def _repository(head: str) -> Release:
    """The set of the model repository: one file for the neck, one for pyramid and decoder."""
    neck = File(
        name="sam2clip_vith_rn50x16.pth",
        address=f"{_MODELS}/sam2clip_vith_rn50x16.pth",
        about=536_000_000,
    )
    decoder = File(name=head, address=f"{_MODELS}/{head}", about=31_500_000)
    return Release(
        parts=(
            clip_part("RN50x16"),
            SAM_PART,
            _neck(neck),
            Part(file=decoder, takes=("fpn_neck.", "mask_decoder.")),
        ),
        licence=LICENCE,
    )


COCO = _repository("clip2sam_coco_rn50x16.pth")
LVIS = _repository("clip2sam_lvis_rn50x16.pth")
DEMO = Release(
    parts=(
        clip_part("RN50x16"),
        SAM_PART,
        _neck(
            File(
                name="sam2clip_vith_rn50.pth",
                address=f"{_DEMO}/sam2clip_vith_rn50.pth",
                size=536_408_050,
                about=536_408_050,
                sha256="f2b14b8e",
            )
        ),
        Part(
            file=File(
                name="R50x16_fpn_lvis_norare_v3det.pth",
                address=f"{_DEMO}/R50x16_fpn_lvis_norare_v3det.pth",
                about=16_200_000,
            ),
            takes=("fpn_neck.", "mask_decoder.roi_conv."),
            renames=(("roi_conv.", "mask_decoder.roi_conv."),),
        ),
        Part(
            file=File(
                name="ovsam_R50x16_lvisnorare.pth",
                address=f"{_DEMO}/ovsam_R50x16_lvisnorare.pth",
                about=16_200_000,
            ),
            takes=("mask_decoder.",),
            # The demo reads the pyramid's own, which was trained together with it.
            leaves=("mask_decoder.roi_conv.",),
        ),
    ),
    licence=LICENCE,
    classifier=File(
        name="RN50x16_LVISV1Dataset.pth",
        address=f"{_DEMO}/RN50x16_LVISV1Dataset.pth",
        about=7_390_000,
    ),
)
