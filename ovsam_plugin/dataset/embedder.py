"""What made a run's embeddings, and so by whose words they can be named and searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ovsam_plugin.dataset.zoo_source import ANY_TEXT_MODEL, TEXT_MODELS
from ovsam_plugin.namers.table import NamerSpec, kind_of
from ovsam_plugin.presets import PRESETS, get_preset
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.text import text_tower_fingerprint

_KEYS = ("namer", "cuts", "namer_hash", "namer_tower")


@dataclass(frozen=True)
class Embedder:
    """Of one run.

    Attributes:
        name: a preset, or another namer.
        fingerprint: digest of the embeddings' making: of weights, and of cuts if there are any.
        tower: fingerprint of the text tower that goes with a namer; None of a preset.
        cuts: how an open_clip namer was shown the instances.
    """

    name: str
    fingerprint: str
    tower: str | None = None
    cuts: str | None = None

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> Embedder:
        """What the record of a run says."""
        if recorded.get("namer") is None:
            return cls(recorded["preset"], recorded["weights"])
        return cls(
            recorded["namer"],
            recorded["namer_hash"],
            recorded.get("namer_tower"),
            recorded.get("cuts"),
        )

    @property
    def side(self) -> TextSide:
        """How words are read for these embeddings.

        Raises:
            ValueError: the model is not on this machine, or has other weights than it had when it
                made them.
        """
        side = kind_of(self.name).side(self.name)
        check_tower(side, self.tower)
        return side

    @property
    def text_model(self) -> tuple[str, dict[str, Any] | None]:
        """The zoo name of the model that reads words for them, and how it is loaded."""
        if self.name not in PRESETS:
            return ANY_TEXT_MODEL, {"namer": self.name, "fingerprint": self.tower}
        tower = get_preset(self.name).text_tower
        names = (n for n, owner in TEXT_MODELS.items() if get_preset(owner).text_tower == tower)
        return next(names), None

    def goes_with(self, other: Embedder) -> bool:
        """Whether embeddings of both can lie in one index: the same words are read for them."""
        if self.name in PRESETS or other.name in PRESETS:
            return self.name == other.name
        return (self.name, self.fingerprint) == (other.name, other.fingerprint)


def check_tower(side: TextSide, fingerprint: str | None) -> None:
    """That a text tower is the one that embeddings were made to go with.

    Raises:
        ValueError: its weights are others now.
    """
    if fingerprint is not None and text_tower_fingerprint(side.text_tower) != fingerprint:
        raise ValueError(
            f"these embeddings were made by {side.name} with other weights than it has now: words "
            "that it reads cannot be compared with them. Restore the old weights, or name the "
            "instances again, replacing existing labels (overwrite)"
        )


def recorded_as(spec: NamerSpec | None, fingerprint: str | None) -> dict[str, str | None]:
    """What a run's settings keep of its namer; nothing where whoever drew the masks named them.

    Args:
        spec: the namer.
        fingerprint: of its embeddings.
    """
    if spec is None:
        return {}
    return {
        "namer": spec.name,
        "cuts": ", ".join(map(str, spec.cuts)) or None,
        "namer_hash": fingerprint,
        "namer_tower": text_tower_fingerprint(spec.side.text_tower) if spec.fingerprint else None,
    }


def same_namer(recorded: Mapping[str, Any]) -> dict[str, str | None]:
    """What a relabelling of a run takes over from its record."""
    return {key: recorded.get(key) for key in _KEYS}
