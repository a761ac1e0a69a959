"""Which namer is asked for, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.namers.cuts import Cut, read_cuts
from ovsam_plugin.namers.namer import Namer
from ovsam_plugin.namers.openclip import (
    PREFIX,
    OpenClipNamer,
    openclip_fingerprint,
    openclip_side,
)
from ovsam_plugin.namers.ovsam import OvsamNamer
from ovsam_plugin.prediction.predictor import load_predictor
from ovsam_plugin.presets import PRESETS, get_preset
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.text import load_openclip


@dataclass(frozen=True)
class NamerSpec:
    """A namer by its name.

    Attributes:
        name: a preset, whose own branches name; or "openclip:MODEL/WEIGHTS".
        cuts: how an open_clip model is shown an instance; none for a preset.
    """

    name: str
    cuts: tuple[Cut, ...] = ()

    @classmethod
    def of(
        cls, name: str | NamerSpec | None, cuts: str | Sequence[Cut] | None = None
    ) -> NamerSpec | None:
        """What a user asks for; None where whoever draws the masks names them too.

        Args:
            name: a preset, or "openclip:MODEL/WEIGHTS", where WEIGHTS is one of open_clip's tags
                or a checkpoint file.
            cuts: as for `read_cuts`; of open_clip models alone.

        Raises:
            ValueError, ImportError: there is no such namer, or the cuts are none.
        """
        if name is None or isinstance(name, NamerSpec):
            if cuts is not None:
                raise ValueError("cuts are of a namer: give namer='openclip:MODEL/WEIGHTS' too")
            return name
        if name.startswith(PREFIX):
            return cls(openclip_side(name).name, read_cuts(cuts))
        if name not in PRESETS:
            raise ValueError(
                f"unknown namer {name!r}: allowed are 'openclip:MODEL/WEIGHTS', for example "
                f"'openclip:ViT-B-32/laion2b_s34b_b79k', and the presets {', '.join(PRESETS)}"
            )
        if cuts is not None:
            raise ValueError(f"cuts are of open_clip models, and {name} looks at whole photographs")
        return cls(name)

    @cached_property
    def side(self) -> TextSide:
        """How names are read for it."""
        return openclip_side(self.name) if self.cuts else get_preset(self.name)

    @property
    def fingerprint(self) -> str | None:
        """Of its embeddings, without loading it; None of a preset, whose weights tell."""
        return openclip_fingerprint(self.name, self.cuts) if self.cuts else None


def load_namer(spec: NamerSpec, device: str = "auto") -> Namer:
    """A namer with its weights.

    Raises:
        ValueError: no such device, or the weights do not fit.
        FileNotFoundError: the weights are not on this machine.
        RuntimeError: open_clip cannot fetch or read them.
    """
    if not spec.cuts:
        return OvsamNamer(load_predictor(spec.name, device=device))
    model, _ = load_openclip(spec.name)
    return OpenClipNamer(spec.side, model, spec.cuts, str(pick_device(device)))
