"""The paper's two stages on eight photographs and a small network: do they learn what they should?

    python benchmarks/overfit.py IMAGES_DIR ANNOTATIONS.json [--steps N M]

Stage one distils a small SAM image encoder with random weights into the neck; its error should fall
by ten times. Stage two trains pyramid, region head and mask decoder from scratch on eight annotated
photographs; mask IoU should pass 0.9 and every name be right. Both run the code of `ovsam train`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from segment_anything.modeling import ImageEncoderViT

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.network.description import NetworkDescription  # noqa: E402
from ovsam_plugin.network.ovsam import OVSAM  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.training.annotations import file_of, find_image, load_annotations  # noqa: E402
from ovsam_plugin.training.clip2sam import Clip2SamRecipe, Clip2SamSettings  # noqa: E402
from ovsam_plugin.training.crops import whole  # noqa: E402
from ovsam_plugin.training.imagenet import imagenet_weights, load_timm_by_order  # noqa: E402
from ovsam_plugin.training.loop import Schedule, run  # noqa: E402
from ovsam_plugin.training.sam2clip import (  # noqa: E402
    Sam2ClipRecipe,
    Sam2ClipSettings,
    Teacher,
)

SIDE, WIDTH, PHOTOGRAPHS = 192, 64, 8
SMALL = NetworkDescription(
    encoder="timm:tf_efficientnet_lite2",
    embed_dim=384,
    image_size=SIDE,
    mean=(127.0,) * 3,
    std=(128.0,) * 3,
    area_downscale=True,
    neck_dim=WIDTH,
    neck_depth=2,
    neck_heads=4,
    neck_window=7,
    neck_global=(1,),
    channels=WIDTH,
    decoder_mlp=128,
    fpn_channels=WIDTH,
    roi_size=7,
    encoder_roi_size=7,
)


def eight(images: Path, annotations: Path, folder: Path) -> Path:
    """The first photographs that have one to four instances and no small one, as their own set."""
    coco = load_annotations(annotations)
    records, kept = [], []
    for image_id in sorted(coco.imgs):
        own = [a for a in coco.imgToAnns[image_id] if not a.get("iscrowd")]
        if 1 <= len(own) <= 4 and min(a["area"] for a in own) > 60**2:
            records.append(coco.imgs[image_id])
            kept += own
        if len(records) == PHOTOGRAPHS:
            break
    (folder / "photographs").mkdir()
    for record in records:
        path = find_image(images, file_of(record))
        assert path is not None
        (folder / "photographs" / path.name).symlink_to(path.resolve())
    content = {"images": records, "annotations": kept, "categories": list(coco.cats.values())}
    (folder / "eight.json").write_text(json.dumps(content))
    return folder / "eight.json"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--steps", type=int, nargs=2, default=(100, 400), help="of the stages")
    args = parser.parse_args()
    console = Console(width=110)
    torch.manual_seed(0)
    network = OVSAM(SMALL)
    load_timm_by_order(network, imagenet_weights())
    encoder = ImageEncoderViT(
        img_size=SIDE, embed_dim=WIDTH, depth=2, num_heads=4, out_chans=WIDTH, use_rel_pos=True
    )
    distilled, joined = (
        Schedule(
            steps=steps, learning_rate=2e-3, weight_decay=0.0, warmup=20, ema=0.9,
            validate_every=steps, checkpoint_every=steps,
        )
        for steps in args.steps
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotations = eight(args.images, args.annotations, folder)
        distil = Sam2ClipRecipe(
            Sam2ClipSettings(
                images=folder / "photographs", teacher_weights=Path(), weights=Path(),
                cache=folder / "features", batch=PHOTOGRAPHS, workers=0, kept_back=0.0,
            ),
            network,
            Teacher(encoder, "random", folder / "features"),
        )  # fmt: skip
        first = distil.validate()["mse"]
        start = time.perf_counter()
        run(distil, folder / "sam2clip", distilled, console)
        with torch.no_grad():
            last = distil.validate()["mse"]
        seconds = time.perf_counter() - start
        less = first / last
        console.print(
            f"sam2clip: MSE {first:.4f} to {last:.4f}, {less:.1f} x less, {seconds:.0f} s"
        )
        joint = Clip2SamRecipe(
            Clip2SamSettings(
                images=folder / "photographs", annotations=annotations, vocabulary="coco",
                weights=Path(), batch=4, prompts=8, workers=0, kept_back=0.0,
            ),
            network,
            preset=replace(get_preset("ovsam-lite"), network=SMALL),
        )  # fmt: skip
        joint.data.jitter = whole  # the same eight views each time
        start = time.perf_counter()
        run(joint, folder / "clip2sam", joined, console)
        figures = joint.validate()
        seconds = time.perf_counter() - start
        iou, accuracy = figures["IoU"], figures["accuracy"]
        console.print(f"clip2sam: IoU {iou:.3f}, accuracy {accuracy:.3f}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
