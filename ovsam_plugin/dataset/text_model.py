"""The light zoo model that turns the words of a text search into vectors of the index.

FiftyOne loads it by its name whenever the App, perhaps days later, is asked for words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from fiftyone.core.models import Model, PromptMixin

from ovsam_plugin.dataset.embedder import check_tower
from ovsam_plugin.dataset.embeddings import join
from ovsam_plugin.dataset.zoo_source import TEXT_MODELS
from ovsam_plugin.namers.table import kind_of
from ovsam_plugin.presets import get_preset
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.classifier import embed_names
from ovsam_plugin.vocabulary.names import clean_name, phrase
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower


class TextModel(PromptMixin, Model):  # type: ignore[misc]
    """A text tower; loaded when first asked, since most openings of the App ask nothing.

    Args:
        side: the tower and its templates.
        device: "auto", "cpu", "cuda", ...
        fingerprint: that the tower must have; any when None.
    """

    def __init__(
        self, side: TextSide, device: str = "auto", fingerprint: str | None = None
    ) -> None:
        self._fingerprint = fingerprint
        self._side = side
        self._device = device

    @property
    def media_type(self) -> str:
        return "image"

    @property
    def can_embed_prompts(self) -> bool:
        return True

    @property
    def ragged_batches(self) -> bool:
        return True

    @property
    def transforms(self) -> None:
        return None

    @property
    def preprocess(self) -> bool:
        return False

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        pass

    @cached_property
    def _tower(self) -> TextTower:
        check_tower(self._side, self._fingerprint)
        return load_text_tower(self._side.text_tower, self._device)

    def embed_prompt(self, arg: str) -> npt.NDArray[np.float32]:
        """(2 D,) float32, unit length; see `embed_prompts`."""
        row: npt.NDArray[np.float32] = self.embed_prompts([arg])[0]
        return row

    def embed_prompts(self, args: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, 2 D) float32 unit vectors: the embedding of each text, joined to itself.

        Raises:
            ValueError: a text has no words.
        """
        names = [phrase(clean_name(text, "the text to search for")) for text in args]
        rows = embed_names(names, self._side.templates, self._tower)
        return join(rows, rows)


def load_text_model(
    name: str, device: str = "auto", *, namer: str | None = None, fingerprint: str | None = None
) -> TextModel:
    """A text model by its zoo name.

    Args:
        name: of `zoo_source.TEXT_MODELS`, or `zoo_source.ANY_TEXT_MODEL`.
        device: "auto", "cpu", "cuda", ...
        namer: "openclip:MODEL/WEIGHTS" for the latter.
        fingerprint: of the text tower that it had when the embeddings were made.

    Raises:
        ValueError: the namer is not given, there is none such, or its weights are others now.
    """
    if name in TEXT_MODELS:
        return TextModel(get_preset(TEXT_MODELS[name]), device)
    if namer is None:
        raise ValueError(f"{name} is loaded for a namer: give namer='openclip:MODEL/WEIGHTS'")
    side = kind_of(namer).side(namer)
    check_tower(side, fingerprint)
    return TextModel(side, device, fingerprint)
