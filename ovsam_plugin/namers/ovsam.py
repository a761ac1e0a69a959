"""OVSAM's own two branches as a namer of anyone's masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ovsam_plugin.namers.namer import Branches, Masked, NamerKind
from ovsam_plugin.prediction.predictor import CHUNK, Predictor, load_predictor
from ovsam_plugin.prediction.prompts import Mask
from ovsam_plugin.presets import PRESETS, get_preset
from ovsam_plugin.recognition.text_side import TextSide


class OvsamNamer:
    """The head and the frozen encoder of a preset's network, pooled under the box of each mask.

    Args:
        predictor: with its weights.
        chunk: masks looked at at once.
    """

    def __init__(self, predictor: Predictor, chunk: int = CHUNK) -> None:
        self._predictor = predictor
        self._chunk = chunk

    @property
    def side(self) -> TextSide:
        """The preset's."""
        return self._predictor.preset

    @property
    def fingerprint(self) -> str:
        """sha256 of the weights."""
        return self._predictor.weights_hash

    def embed(self, photographs: Sequence[Masked]) -> list[Branches]:
        """See `Namer.embed`."""
        frames = [self._predictor.preprocess(photograph.pixels) for photograph in photographs]
        encodings = self._predictor.encode(frames)
        found = []
        for photograph, encoding in zip(photographs, encodings):
            size = photograph.pixels.shape[0], photograph.pixels.shape[1]
            solid = [i for i, crop in enumerate(photograph.crops) if crop.area]
            asked = [Mask(photograph.crops[i], size=size) for i in solid]
            answers = self._predictor.decode(encoding, asked, self._chunk)
            shape = len(photograph.crops), answers.head_embeddings.shape[1]
            head, clip = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
            head[solid], clip[solid] = answers.head_embeddings, answers.clip_embeddings
            found.append(Branches(head, clip))
        return found


PRESET = NamerKind(
    told=f"the presets {', '.join(PRESETS)}",
    claims=PRESETS.__contains__,
    canonical=str,
    side=get_preset,
    fingerprint=lambda name, cuts: None,
    load=lambda name, cuts, device: OvsamNamer(load_predictor(name, device=device)),
    cuts=False,
)
