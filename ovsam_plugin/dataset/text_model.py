"""The light zoo model that turns the words of a text search into vectors of the index.

FiftyOne loads it by its name whenever the App, perhaps days later, is asked for words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from fiftyone.core.models import Model, PromptMixin

from ovsam_plugin.dataset.embeddings import join
from ovsam_plugin.dataset.zoo import TEXT_MODELS
from ovsam_plugin.presets import Preset, get_preset
from ovsam_plugin.vocabulary.classifier import embed_names
from ovsam_plugin.vocabulary.names import clean_name, phrase
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower


class TextModel(PromptMixin, Model):  # type: ignore[misc]
    """A preset's text tower; loaded when first asked, since most openings of the App ask nothing.

    Args:
        preset: whose tower and templates.
        device: "auto", "cpu", "cuda", ...
    """

    def __init__(self, preset: Preset, device: str = "auto") -> None:
        self._preset = preset
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
        return load_text_tower(self._preset.text_tower, self._device)

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
        rows = embed_names(names, self._preset.templates, self._tower)
        return join(rows, rows)


def text_model_name(preset: str) -> str:
    """The zoo name of the text model that goes with a preset."""
    tower = get_preset(preset).text_tower
    return next(
        name for name, owner in TEXT_MODELS.items() if get_preset(owner).text_tower == tower
    )
