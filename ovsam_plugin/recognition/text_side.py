"""How names are read, so that they can be compared with an instance's embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from ovsam_plugin.checkpoints import sources
from ovsam_plugin.recognition.fusion import Fusion


@dataclass(frozen=True, kw_only=True)
class TextSide:
    """The half of a model that reads.

    Attributes:
        name: of the whole model, as the user types it.
        text_tower: the tower whose embeddings go with it; see `vocabulary.text`.
        templates: sentences that every class name is put into.
        fusion: how the two branches' scores become one.
        seen: a vocabulary, or "VOCABULARY/base" for its base classes, that the head was trained on;
            None where nothing was trained on classes.
        release: the published files that weights are fetched from; None where there are none.
    """

    name: str
    text_tower: str
    templates: tuple[str, ...]
    fusion: Fusion
    seen: str | None = None
    release: sources.Release | None = None


SCALE = Fusion().clip_scale
"""What CLIP was trained to multiply its cosines by."""


def single_branch(scale: float = SCALE) -> Fusion:
    """Of one embedding an instance, given as both branches': softmax of scaled cosines."""
    return Fusion(seen_weight=1.0, unseen_weight=1.0, head_scale=scale, clip_scale=scale)
