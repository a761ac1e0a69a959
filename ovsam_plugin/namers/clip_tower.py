"""The image half of any open_clip model as a frozen encoder."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.image_encoder import ClipResNet, ImageEncoder


class WholePictures(ImageEncoder):
    """An image tower of open_clip that is no ResNet: good for image-crop, has no map to read.

    Args:
        tower: of an open_clip model, with its weights.
    """

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def picture(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.tower(pixels))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        raise ValueError(
            "feature-crop reads the maps of a CLIP ResNet (RN50, RN50x4, RN50x16, RN50x64), and "
            f"this model has a {type(self.tower).__name__}: leave it out, or use image-crop"
        )


def clip_tower(name: str, model: Any, image_size: int = 1024) -> Tower:
    """The image half of a CLIP model as a frozen encoder.

    Args:
        name: open_clip's name of it.
        model: with its weights; on its device.
        image_size: that feature-crop shows a whole image at; a multiple of 32.
    """
    with IMPORTS:
        from open_clip.modified_resnet import ModifiedResNet
    visual = model.visual
    resnet = isinstance(visual, ModifiedResNet)
    encoder: ImageEncoder = ClipResNet(name, visual) if resnet else WholePictures(visual)
    size = visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size
    mean, std = (tuple(255 * v for v in visual.preprocess_cfg[key]) for key in ("mean", "std"))
    encoder.pretraining_pixels = (mean, std)
    description = NetworkDescription(
        encoder=f"clip:{name}",
        embed_dim=visual.output_dim,
        image_size=image_size,
        mean=mean,
        std=std,
        encoder_roi_size=size // 32,
    )
    return Tower(encoder.eval().requires_grad_(False), description, size)
