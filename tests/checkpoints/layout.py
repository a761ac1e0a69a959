"""Checkpoints laid out as the published ones are, of any size, with the golden recipe's weights."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor, nn

from ovsam_plugin.checkpoints import sources
from ovsam_plugin.checkpoints.assemble import layout
from ovsam_plugin.checkpoints.sources import File, Part, Release
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.presets import Preset, get_preset
from tests.golden import recipe

RN50 = NetworkDescription(encoder="clip:RN50", embed_dim=1024, neck_dim=320, encoder_roi_size=7)
"""The second size of the golden cases."""

TINY = NetworkDescription(
    encoder="clip:tiny-resnet",
    embed_dim=16,
    image_size=64,
    neck_dim=32,
    neck_depth=2,
    neck_heads=2,
    neck_window=4,
    neck_global=(1,),
    channels=32,
    decoder_heads=2,
    decoder_mlp=32,
    fpn_channels=16,
    roi_size=4,
    encoder_roi_size=2,
)
"""Every part of the network in about 2 MB, for what does not depend on the size."""

_TINY_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def register_tiny_clip(folder: Path) -> None:
    """Lets open_clip know the CLIP that TINY is built on."""
    path = folder / "tiny-resnet.json"
    path.write_text(json.dumps(_TINY_CLIP))
    open_clip.add_model_config(path)


def make(keys: Iterable[tuple[str, torch.Size]]) -> dict[str, Tensor]:
    """The recipe's weights for assembled keys and their shapes."""
    return {key: torch.from_numpy(np.asarray(recipe.make(key, tuple(s)))) for key, s in keys}


def assembled(description: NetworkDescription) -> dict[str, Tensor]:
    """The recipe's weights of a whole network."""
    return make((key, value.shape) for key, value in layout(description).items())


def published(part: Part, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A part's share of an assembled state, under the names that its file has."""
    back = [(new, old) for old, new in part.renames]
    result = {}
    for key, value in state.items():
        if key.startswith(part.takes) and not key.startswith(part.leaves or ("\0",)):
            new, old = next(((n, o) for n, o in back if key.startswith(n)), ("", ""))
            result[old + key.removeprefix(new)] = value
    return result


def trained(state: dict[str, Tensor]) -> dict[str, object]:
    """A state dict as a training run leaves it, among other things."""
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}
    return {
        "meta": {"epoch": 12, "seed": np.float64(7.0), "history": np.arange(3)},
        "state_dict": OrderedDict(state),
        "optimizer": optimizer,
    }


def sam_state(state: dict[str, Tensor], blocks: int, width: int = 64) -> dict[str, Tensor]:
    """SAM's names, with an image encoder of so many blocks that nobody wants."""
    result = {"image_encoder.pos_embed": torch.ones(1, 8, 8, width)}
    for i in range(blocks):
        result[f"image_encoder.blocks.{i}.mlp.lin1.weight"] = torch.zeros(width, width)
    result |= published(sources.SAM_PART, state)
    return {**result, "mask_decoder.iou_token.weight": torch.zeros(1, 32)}


class _Branch(nn.Module):
    """Modules as deep as the names of a state dict, for TorchScript to save."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        inner: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            head, _, rest = key.partition(".")
            if rest:
                inner.setdefault(head, {})[rest] = value
            else:
                self.register_buffer(head, value)
        for head, part in inner.items():
            self.add_module(head, _Branch(part))

    def forward(self) -> int:
        return 0


def clip_state(description: NetworkDescription, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's names: the image tower's share of `state`, and the recipe's text tower."""
    model = description.encoder.removeprefix("clip:")
    config = open_clip.get_model_config(model)
    stub = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}
    text = open_clip.CLIP(config["embed_dim"], stub, config["text_cfg"], quick_gelu=True)
    shapes = {k: v.shape for k, v in text.state_dict().items() if k.startswith(sources.CLIP_TEXT)}
    clip = make((f"clip.{key}", shape) for key, shape in shapes.items())
    return {
        **published(sources.clip_part("RN50"), state),
        **{key.removeprefix("clip."): value for key, value in clip.items()},
        "logit_scale": torch.tensor(4.6052),
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }


def save_script(state: dict[str, Tensor], path: Path) -> None:
    """A state dict in a TorchScript archive, which is what OpenAI publishes."""
    torch.jit.save(torch.jit.script(_Branch(state).eval()), str(path))


def write_set(
    folder: Path,
    description: NetworkDescription,
    release: Release,
    *,
    sam_blocks: int = 2,
    sam_width: int = 64,
) -> None:
    """Writes all files of a release, of the recipe's weights, as published."""
    folder.mkdir(parents=True, exist_ok=True)
    state = assembled(description)
    for part in release.parts:
        path = folder / part.file.name
        if part.takes == ("backbone.",):
            save_script(clip_state(description, state), path)
        elif part.takes == ("pe.",):
            torch.save(sam_state(state, sam_blocks, sam_width), path)
        else:
            torch.save(trained(published(part, state)), path)
    if release.classifier is not None:
        rows = recipe.vocab("lvis", 1203, 2, description.embed_dim)
        torch.save(torch.from_numpy(rows), folder / release.classifier.name)


def release_of(description: NetworkDescription, like: Release) -> Release:
    """A published release for another size: its files have other sizes and hashes."""
    model = description.encoder.removeprefix("clip:")
    parts = tuple(replace(part, file=_unpinned(part.file, model)) for part in like.parts)
    classifier = like.classifier and _unpinned(like.classifier, model)
    return replace(like, parts=parts, classifier=classifier)


def _unpinned(file: File, model: str) -> File:
    name = f"{model}.pt" if file.name.endswith(".pt") else file.name
    return replace(file, name=name, size=None, sha256="", mirrors=())


def preset_of(description: NetworkDescription, name: str = "ovsam-rn50x16-lvis") -> Preset:
    """A published preset in another size."""
    preset = get_preset(name)
    assert preset.release is not None
    model = description.encoder.removeprefix("clip:")
    return replace(
        preset,
        network=description,
        text_tower=f"openclip:{model}/openai",
        release=release_of(description, preset.release),
    )
