"""The weights, images, vocabularies and masks of the golden cases, made from their names alone.

The golden numbers of the parity cases were computed with synthetic weights. Every array is a
function of a key: the first 8 bytes of the key's SHA-256 (big endian) seed numpy's PCG64, and
float32 normal noise from it is scaled by what kind of parameter the key names. Nothing here needs
torch, and nothing is random twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

# Learned tables and tokens keep the noise as it is.
_TABLES = {
    "level_encoding",
    "label_token",
    "mask_tokens",
    "not_a_point_embed",
    "no_mask_embed",
    "iou_token",
}
# A transposed convolution stores (in, out, kh, kw), so its fan-in is the first axis.
_TRANSPOSED = {
    "neck.patch_embeds.3.projection.weight",
    "mask_decoder.mask_decoder.output_upscaling.0.weight",
    "mask_decoder.mask_decoder.output_upscaling.3.weight",
}
_SCALES = {
    "running_mean": 0.05,
    "rel_pos_h": 0.02,
    "rel_pos_w": 0.02,
    "pos_embed": 0.1,
    "positional_encoding_gaussian_matrix": 1.0,
    "bias": 0.02,
    "in_proj_bias": 0.02,
}


def generator(key: str) -> np.random.Generator:
    """The generator that belongs to a key."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(seed))


def noise(key: str, shape: Sequence[int]) -> Array:
    """float32 standard normal noise that belongs to a key."""
    return generator(key).standard_normal(tuple(map(int, shape)), dtype=np.float32)


def make(key: str, shape: Sequence[int]) -> Array | npt.NDArray[np.int64]:
    """One weight of the assembled model, by its state-dict key.

    Args:
        key: for example "neck.blocks.0.attn.qkv.weight"; the CLIP text tower's keys carry a
            "clip." prefix before open_clip's own name.
        shape: the parameter's shape.

    Returns:
        float32 array of that shape (int64 zero for `num_batches_tracked`).
    """
    owner, _, leaf = key.rpartition(".")
    if leaf == "num_batches_tracked":
        return np.zeros(tuple(shape), dtype=np.int64)
    values = noise(key, shape)
    if leaf == "running_var":
        return _around_one(np.abs(values))
    if leaf == "positional_embedding":
        return _scaled(values, shape[-1] ** -0.5 if key.startswith("backbone.") else 0.01)
    parts = owner.split(".")
    if leaf == "weight" and (parts[-1] in _TABLES or parts[-2:-1] == ["point_embeddings"]):
        return values
    if leaf in _SCALES:
        return _scaled(values, _SCALES[leaf])
    if len(shape) == 1:
        # The last norm of a residual block is small, or the stream grows with every block.
        return _scaled(_around_one(values), 0.25 if parts[-1] == "bn3" else 1.0)
    if leaf == "text_projection":
        return _scaled(values, shape[0] ** -0.5)
    if leaf == "weight" and parts[-1] == "token_embedding":
        return _scaled(values, 0.02)
    return _linear(key, values)


def _scaled(values: Array, factor: float) -> Array:
    scaled: Array = np.float32(factor) * values
    return scaled


def _around_one(values: Array) -> Array:
    shifted: Array = np.float32(1) + _scaled(values, 0.1)
    return shifted


def _linear(key: str, values: Array) -> Array:
    """Convolution and linear weights: zero mean over the fan-in, variance 1 / fan-in."""
    axes = (0,) if key in _TRANSPOSED else tuple(range(1, values.ndim))
    fan_in = int(np.prod([values.shape[axis] for axis in axes]))
    mean = values.mean(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
    gain = 3.0 if key.startswith("backbone.") and values.ndim == 4 else 1.0
    return _scaled(values - mean, (gain / fan_in) ** 0.5)


def image(name: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    """A test photograph: three octaves of smooth noise, (height, width, 3) uint8 RGB."""
    source = generator("image:" + name)
    longest = max(height, width)
    canvas = np.full((height, width, 3), 118.0)
    for cells, amplitude in ((5, 46.0), (14, 34.0), (48, 20.0)):
        rows = max(2, round(cells * height / longest) + 1)
        columns = max(2, round(cells * width / longest) + 1)
        lattice = source.standard_normal((rows, columns, 3), dtype=np.float32).astype(np.float64)
        canvas += amplitude * _stretch(_stretch(lattice, height, 0), width, 1)
    return np.clip(np.floor(canvas + 0.5), 0, 255).astype(np.uint8)


def _stretch(values: npt.NDArray[np.float64], size: int, axis: int) -> npt.NDArray[np.float64]:
    """Linear interpolation along one axis to `size` points, ends kept."""
    length = values.shape[axis]
    position = np.arange(size, dtype=np.float64) * ((length - 1) / (size - 1))
    left = np.minimum(position.astype(np.int64), length - 2)
    weight = np.expand_dims(position - left, tuple(a for a in range(values.ndim) if a != axis))
    low, high = np.take(values, left, axis), np.take(values, left + 1, axis)
    stretched: npt.NDArray[np.float64] = low * (1.0 - weight) + high * weight
    return stretched


def vocab(name: str, num_classes: int, num_synonyms: int, dim: int) -> Array:
    """A text classifier of unit vectors, (classes, synonyms, dim) float32."""
    rows = noise("vocab:" + name, (num_classes, num_synonyms, dim)).astype(np.float64)
    rows /= np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return rows.astype(np.float32)


def gt_masks(height: int, width: int) -> npt.NDArray[np.bool_]:
    """Seven ground-truth masks, (7, height, width) bool.

    In order: a large ellipse, a tilted one, a tiny disc, a rectangle on the left edge, a bar three
    pixels high, the whole image, and two blobs that do not touch.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    h, w = float(height), float(width)

    def ellipse(
        center: tuple[float, float], radii: tuple[float, float], tilt: tuple[float, float] = (1, 0)
    ) -> npt.NDArray[np.bool_]:
        cos, sin = tilt
        dx, dy = x - center[0], y - center[1]
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        inside: npt.NDArray[np.bool_] = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1.0
        return inside

    blobs = ellipse((0.66 * w, 0.77 * h), (0.05 * w, 0.04 * h))
    blobs |= ellipse((0.90 * w, 0.88 * h), (0.08 * w, 0.09 * h))
    return np.stack(
        [
            ellipse((0.55 * w, 0.50 * h), (0.33 * w, 0.36 * h)),
            ellipse((0.27 * w, 0.62 * h), (0.17 * w, 0.07 * h), (0.8, 0.6)),
            ellipse((0.81 * w, 0.16 * h), (9.5, 9.5)),
            (x < 0.21 * w) & (y >= 0.08 * h) & (y < 0.31 * h),
            (np.abs(y - np.floor(0.9 * h)) <= 1) & (x >= 0.3 * w) & (x < 0.7 * w),
            np.ones((height, width), dtype=bool),
            blobs,
        ]
    )


def mask_boxes(masks: npt.NDArray[np.bool_] | Iterable[npt.NDArray[np.bool_]]) -> Array:
    """Each mask's own box, (N, 4) float32 xyxy pixels, x2 and y2 exclusive; zeros when empty."""
    boxes = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        found = len(rows) > 0
        boxes.append(
            (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if found else (0, 0, 0, 0)
        )
    return np.asarray(boxes, dtype=np.float32).reshape(-1, 4)


def synonyms(text: str) -> tuple[str, ...]:
    """The synonyms in one of the golden cases' class strings, by the reference's rule.

    Commas, `_or_` and `/` separate synonyms, `_` is a space, and everything is lower case:
    "Dining_table_or_desk,board/plank" is ("dining table", "desk", "board", "plank").
    """
    parts = re.split(r",|_or_|/", text)
    names = dict.fromkeys(part.replace("_", " ").strip().lower() for part in parts)
    return tuple(name for name in names if name)
