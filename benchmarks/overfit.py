"""Joint training from scratch learns eight photographs by heart: mask IoU above 0.9, accuracy 1.

    python benchmarks/overfit.py [--steps 400]

The paper's recipe, losses and decoder at a size for a CPU, on rectangles of four colours in noise;
pyramid, decoder and head start at random. Exit code 1 where it falls short.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.network.ovsam import OVSAM  # noqa: E402
from ovsam_plugin.training.clip2sam import Clip2SamRecipe, Clip2SamSettings  # noqa: E402
from ovsam_plugin.training.engine import Schedule, run  # noqa: E402
from ovsam_plugin.training.lite import imagenet_weights, load_timm_by_order  # noqa: E402
from ovsam_plugin.vocabulary.classifier import Classifier  # noqa: E402
from ovsam_plugin.vocabulary.sources import load_vocabulary  # noqa: E402
from tests.training.small import TINY, tiny_preset  # noqa: E402

SIDE, COUNT = 64, 8
COLOURS = {"red": (190, 40, 40), "green": (40, 190, 40), "blue": (40, 40, 190), "grey": (180,) * 3}


def write_set(folder: Path) -> Path:
    """Eight photographs, each with one rectangle, and their annotation file."""
    (folder / "images").mkdir()
    chance = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(COUNT):
        picture = chance.integers(0, 80, (SIDE, SIDE, 3), dtype=np.uint8)
        (x, y), (w, h) = (4 * chance.integers(low, high, 2) for low, high in ((0, 6), (5, 9)))
        colour = np.array(list(COLOURS.values())[i % len(COLOURS)])
        picture[y : y + h, x : x + w] = chance.integers(0, 60, (h, w, 3)) + colour
        Image.fromarray(picture).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": SIDE, "height": SIDE})
        outline = [int(v) for v in (x, y, x + w, y, x + w, y + h, x, y + h)]
        row = {"id": i, "image_id": i, "category_id": i % len(COLOURS)}
        annotations.append({**row, "segmentation": [outline]})
    categories = [{"id": i, "name": name} for i, name in enumerate(COLOURS)]
    file = folder / "coco.json"
    file.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return file


def unmoved(*_: object) -> npt.NDArray[np.float64]:
    """Photographs as they are: what is shown is that they can be learned, not that it carries."""
    return np.array([[1.0, 0, 0], [0, 1, 0]])


def build(folder: Path) -> Clip2SamRecipe:
    """The recipe on the eight photographs."""
    file = write_set(folder)
    preset = replace(
        tiny_preset(), network=replace(TINY, channels=32, fpn_channels=32, decoder_mlp=64)
    )
    torch.manual_seed(0)
    network = OVSAM(preset.network)
    load_timm_by_order(network, imagenet_weights())
    settings = Clip2SamSettings(
        images=folder / "images",
        annotations=file,
        weights=file,
        crop=SIDE,
        prompts=4,
        batch=4,
        workers=0,
        kept_back=0.0,
    )
    # Dense as texts are: the head's embeddings are not negative, and cannot reach every axis.
    rows = np.random.default_rng(0).standard_normal((len(COLOURS), TINY.embed_dim))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    classifier = Classifier(load_vocabulary(list(COLOURS)), rows, np.arange(len(COLOURS)))
    recipe = Clip2SamRecipe(settings, network, classifier, preset)
    recipe.data.jitter = unmoved
    return recipe


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    schedule = Schedule(
        steps=args.steps,
        learning_rate=5e-3,
        warmup=10,
        weight_decay=0.0,
        ema=0.9,
        checkpoint_every=args.steps,
        validate_every=100,
    )
    with tempfile.TemporaryDirectory() as folder:
        recipe = build(Path(folder))
        run(recipe, Path(folder) / "run", schedule, Console(width=80))
        figures = recipe.validate()
    return 0 if figures["IoU"] > 0.9 and figures["accuracy"] == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
