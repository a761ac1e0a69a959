"""Which namer is asked for, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ovsam_plugin.namers.cuts import Cut, read_cuts
from ovsam_plugin.namers.namer import Namer, NamerKind
from ovsam_plugin.namers.openclip import OPENCLIP
from ovsam_plugin.namers.ovsam import PRESET
from ovsam_plugin.recognition.text_side import TextSide

NAMERS: tuple[NamerKind, ...] = (OPENCLIP, PRESET)
"""Every kind of namer: a row each."""


@dataclass(frozen=True)
class NamerSpec:
    """A namer by its name.

    Attributes:
        name: a preset, whose own branches name; or "openclip:MODEL/WEIGHTS".
        cuts: how an instance is shown to it; none where it looks at whole photographs.
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
                raise ValueError(
                    "cuts are for a namer: choose one too, such as openclip:MODEL/WEIGHTS"
                )
            return name
        kind = kind_of(name)
        name = kind.canonical(name)
        if kind.cuts:
            return cls(name, read_cuts(cuts))
        if cuts is not None:
            raise ValueError(
                f"cuts are for open_clip models, and {name} looks at whole photographs"
            )
        return cls(name)

    @cached_property
    def side(self) -> TextSide:
        """How names are read for it."""
        return kind_of(self.name).side(self.name)

    @property
    def fingerprint(self) -> str | None:
        """Of its embeddings, without loading it; None of a preset, whose weights tell."""
        return kind_of(self.name).fingerprint(self.name, self.cuts)


def kind_of(name: str) -> NamerKind:
    """The row that a namer's name belongs to.

    Raises:
        ValueError: there is none; the message tells what names there are.
    """
    for kind in NAMERS:
        if kind.claims(name):
            return kind
    allowed = ", and ".join(kind.told for kind in NAMERS)
    raise ValueError(f"unknown namer {name!r}: allowed are {allowed}")


def load_namer(spec: NamerSpec, device: str = "auto") -> Namer:
    """A namer with its weights.

    Raises:
        ValueError: no such device, or the weights do not fit.
        FileNotFoundError: the weights are not on this machine.
        RuntimeError: open_clip cannot fetch or read them.
    """
    return kind_of(spec.name).load(spec.name, spec.cuts, device)
