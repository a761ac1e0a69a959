"""A small open_clip model with random weights, in a file."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import torch

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
VISIONS = {
    "ViT-namer": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
    "RN-namer": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16},
}


def write_model(folder: Path, name: str = "ViT-namer", seed: int = 0) -> str:
    """Writes its checkpoint; returns the namer's name."""
    for known, vision in VISIONS.items():
        config = {"embed_dim": 48, "vision_cfg": vision, "text_cfg": TEXT}
        (folder / f"{known}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(seed)
    model = open_clip.create_model(name, pretrained=None)
    path = folder / "weights.pt"
    torch.save(model.state_dict(), path)
    return f"openclip:{name}/{path}"
