"""Any open_clip model as a namer: it looks at each instance as a picture of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.namers.clip_tower import clip_tower
from ovsam_plugin.namers.cuts import Cut, cut_out, fitted
from ovsam_plugin.namers.namer import Branches, Masked, NamerKind
from ovsam_plugin.recognition.text_side import TextSide, single_branch
from ovsam_plugin.vocabulary.openclip import openclip_parts
from ovsam_plugin.vocabulary.templates import CLIP_TEMPLATES
from ovsam_plugin.vocabulary.text import load_openclip, text_tower_fingerprint
from ovsam_plugin.vocabulary.text_reading import unit

PREFIX = "openclip:"
_CHUNKS = {"cuda": 64}
_CHUNK = 16
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def openclip_side(name: str) -> TextSide:
    """The text half of "openclip:MODEL/WEIGHTS", not loaded.

    Raises:
        ValueError, ImportError: open_clip has no such model or weights.
    """
    model, weights = openclip_parts(name)
    if Path(weights).is_file():  # as another process will find it, from wherever it is called
        weights = str(Path(weights).absolute())
    name = f"{PREFIX}{model}/{weights}"
    return TextSide(
        name=name, text_tower=name, templates=CLIP_TEMPLATES, fusion=single_branch(), seen=None
    )


def openclip_fingerprint(name: str, cuts: Sequence[Cut]) -> str:
    """Of the embeddings that a model makes of these cuts."""
    facts = "\n".join([text_tower_fingerprint(name), *map(str, cuts)])
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()


class OpenClipNamer:
    """Cuts instances out of their photographs and embeds the cut-outs.

    The unit embeddings of an instance's several cut-outs are averaged. While the model looks at
    some pictures, the next are cut.

    Args:
        side: see `openclip_side`.
        model: open_clip's model; its image half is taken.
        cuts: at least one way to cut.
        device: where the model is.
    """

    def __init__(self, side: TextSide, model: Any, cuts: Sequence[Cut], device: str) -> None:
        self._side = side
        self._cuts = tuple(cuts)
        self._fingerprint = openclip_fingerprint(side.name, cuts)
        name = openclip_parts(side.name)[0]
        shown = model.visual.preprocess_cfg
        self._resample = _RESAMPLING.get(shown.get("interpolation", ""), Image.Resampling.BICUBIC)
        self._tower = clip_tower(name, model.to(device))
        self._chunk = _CHUNKS.get(self._tower.device.type, _CHUNK)
        self._fill = tuple(round(value) for value in self._tower.crops.mean)

    @property
    def side(self) -> TextSide:
        """Its text half."""
        return self._side

    @property
    def fingerprint(self) -> str:
        """Of weights and cuts."""
        return self._fingerprint

    def embed(self, photographs: Sequence[Masked]) -> list[Branches]:
        """See `Namer.embed`."""
        solid = [
            (place, row)
            for place, photograph in enumerate(photographs)
            for row, crop in enumerate(photograph.crops)
            if crop.area
        ]
        width, several = self._tower.description.embed_dim, len(self._cuts)
        vectors = np.zeros((len(solid) * several, width), np.float32)
        start = 0
        for pictures in self._pictures(photographs, solid):
            stop = start + len(pictures)
            vectors[start:stop] = self._tower.embed_pictures(pictures, self._chunk).numpy()
            start = stop
        means = unit(unit(vectors).reshape(len(solid), several, width).mean(1))
        found = [np.zeros((len(p.crops), width), np.float32) for p in photographs]
        for (place, row), mean in zip(solid, means):
            found[place][row] = mean
        return [Branches(vectors, vectors) for vectors in found]

    def _pictures(
        self, photographs: Sequence[Masked], solid: Sequence[tuple[int, int]]
    ) -> Iterator[list[Pixels]]:
        """All cut-outs in order, a chunk at a time; one chunk is cut ahead."""
        wanted = list(product(solid, self._cuts))

        def cut(one: tuple[tuple[int, int], Cut]) -> Pixels:
            (place, row), how = one
            photograph = photographs[place]
            whole = cut_out(photograph.pixels, photograph.crops[row], how, self._fill)
            return fitted(whole, self._tower.crop_size, self._resample)

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            ahead: list[Future[Pixels]] = []
            for start in range(0, len(wanted), self._chunk):
                ready = ahead or [pool.submit(cut, one) for one in wanted[: self._chunk]]
                later = wanted[start + self._chunk : start + 2 * self._chunk]
                ahead = [pool.submit(cut, one) for one in later]
                yield [picture.result() for picture in ready]


def _load(name: str, cuts: tuple[Cut, ...], device: str) -> OpenClipNamer:
    model, _ = load_openclip(name)
    return OpenClipNamer(openclip_side(name), model, cuts, str(pick_device(device)))


OPENCLIP = NamerKind(
    told="'openclip:MODEL/WEIGHTS', for example 'openclip:ViT-B-32/laion2b_s34b_b79k'",
    claims=lambda name: name.startswith(PREFIX),
    canonical=lambda name: openclip_side(name).name,
    side=openclip_side,
    fingerprint=openclip_fingerprint,
    load=_load,
    cuts=True,
)
