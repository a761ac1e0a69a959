"""Names that learn: what decisions and examples add to the scores that words give.

A file of one is `safetensors`: numbers, and a header of JSON. Reading it runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ovsam_plugin.files import draft_of
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.tables import BUILT_IN
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

_FORMAT = "ovsam adapter 1"
# A header is read whole; that of 22k classes with synonyms takes 2 MB.
_LARGEST = 64 << 20
_NONE = np.zeros(0, np.float32)
_FLOATS = {np.dtype(np.float32)}


@dataclass(frozen=True, eq=False)
class Adapter:
    """What decisions on some instances, or examples of classes, add to the log scores of all.

    The log score of a class of `classes` becomes `kept * words + weights @ embedding + bias`.

    Attributes:
        vocabulary: the K classes, those that a person has added last.
        added: how many a person has added, by names that the vocabulary did not have.
        classes: (C,) int64, ascending, the places of the classes that something was decided about;
            K is "none of these". All others keep the scores that words give.
        weights: (C, E) float32; E is the length of a kept embedding, both branches joined.
        network: sha256 of the weights of the network that made the embeddings.
        provenance: what else is known of its making; plain JSON.
        bias: (C,) float32; zeros when not given.
        kept: (C,) float32 in 0..1, how much of the score that words give stays; ones when not
            given.

    Raises:
        ValueError: the shapes do not agree, a class is none of them, or a weight is no number.
    """

    vocabulary: Vocabulary
    classes: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    network: str
    added: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    bias: npt.NDArray[np.float32] = field(default_factory=lambda: _NONE)
    kept: npt.NDArray[np.float32] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        rows, total = len(self.classes), len(self.vocabulary)
        if not self.bias.size:
            object.__setattr__(self, "bias", np.zeros(rows, np.float32))
        if not self.kept.size:
            object.__setattr__(self, "kept", np.ones(rows, np.float32))
        if self.bias.shape != (rows,) or self.kept.shape != (rows,):
            raise ValueError(f"need (C,) bias and kept, got {self.bias.shape}, {self.kept.shape}")
        if self.classes.ndim != 1 or self.weights.ndim != 2 or len(self.weights) != rows:
            raise ValueError(
                f"need (C,) classes and (C, E) weights, got {self.classes.shape} and "
                f"{self.weights.shape}"
            )
        if rows and (self.classes[0] < 0 or self.classes[-1] > total):
            raise ValueError(f"a class of the adapter is not one of the vocabulary's {total}")
        if (np.diff(self.classes) <= 0).any():
            raise ValueError("the classes of an adapter are ascending, each once")
        if not all(np.isfinite(part).all() for part in (self.weights, self.bias, self.kept)):
            raise ValueError("a weight of the adapter is not a finite number")
        if not 0 <= self.added < total:
            raise ValueError(f"{self.added} of the adapter's {total} classes cannot be added ones")

    @cached_property
    def base(self) -> Vocabulary:
        """The vocabulary without the classes that a person has added."""
        return without_added(self.vocabulary, self.added)

    @cached_property
    def hash(self) -> str:
        """SHA-256, 64 hex digits, over everything that changes a name."""
        digest = sha256(f"{self.network}\n{self.vocabulary.hash}\n".encode())
        digest.update(self.classes.astype("<i8").tobytes())
        digest.update(self.weights.astype("<f4").tobytes())
        if self.bias.any() or (self.kept != 1).any():
            digest.update(self.bias.astype("<f4").tobytes() + self.kept.astype("<f4").tobytes())
        return digest.hexdigest()

    def added_scores(
        self, head: npt.NDArray[np.float32], clip: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """(N, C) float32, what is added to what is kept of the log scores of `classes`.

        Args:
            head, clip: (N, D) float32, unit length: the two branches' embeddings.
        """
        joined = np.concatenate([head, clip], axis=1) * np.float32(np.sqrt(0.5))
        added: npt.NDArray[np.float32] = joined @ self.weights.T + self.bias
        return added

    def over(self, before: Adapter | None) -> Adapter:
        """The same on top of another, whose scores it was learned over.

        Args:
            before: over the same classes, but for those that this one has added at their end.
        """
        if before is None or not len(before.classes):
            return self
        # "None of these" is last, wherever that is.
        theirs = np.where(
            before.classes == len(before.vocabulary), len(self.vocabulary), before.classes
        )
        classes = np.union1d(theirs, self.classes)
        weights = np.zeros((len(classes), self.weights.shape[1]), np.float32)
        bias, kept = np.zeros(len(classes), np.float32), np.ones(len(classes), np.float32)
        for places, one in ((theirs, before), (self.classes, self)):
            rows = np.searchsorted(classes, places)
            kept[rows] *= one.kept
            weights[rows] = one.kept[:, None] * weights[rows] + one.weights
            bias[rows] = one.kept * bias[rows] + one.bias
        return replace(self, classes=classes, weights=weights, bias=bias, kept=kept)

    def check(self, network: str, vocabulary: Vocabulary) -> None:
        """That it was learned for these.

        Args:
            network: sha256 of the weights in use.
            vocabulary: in use, with or without the classes that a person has added.

        Raises:
            ValueError: it was learned for other weights, or over another vocabulary.
        """
        if network != self.network:
            raise ValueError(
                f"the adapter was learned for other weights ({self.network[:12]}, not "
                f"{network[:12]}): label with the weights that it was learned for, or learn again"
            )
        if vocabulary.hash not in (self.base.hash, self.vocabulary.hash):
            raise ValueError(
                f"the adapter was learned over {self.base.name!r} ({len(self.base)} classes), not "
                f"over {vocabulary.name!r} ({len(vocabulary)} classes): use that vocabulary"
            )

    def save(self, path: str | Path) -> None:
        """As a safetensors file, whole or not at all."""
        header = {
            "network": self.network,
            "vocabulary": self.vocabulary.name,
            "categories": _rows(self.vocabulary),
            "added": self.added,
            "provenance": dict(self.provenance),
        }
        told = {"format": _FORMAT, "adapter": json.dumps(header, ensure_ascii=False)}
        tensors: dict[str, npt.NDArray[Any]] = {"classes": self.classes, "weights": self.weights}
        if self.bias.any() or (self.kept != 1).any():
            tensors |= {"bias": self.bias, "kept": self.kept}
        with draft_of(path) as draft:
            save_file(tensors, draft, metadata=told)

    @classmethod
    def of(cls, given: Adapter | str | Path | None) -> Adapter | None:
        """An adapter, read where its file is given.

        Raises:
            FileNotFoundError, ValueError: see `load`.
            TypeError: it is neither.
        """
        if given is None or isinstance(given, Adapter):
            return given
        if isinstance(given, str | Path):
            return cls.load(given)
        raise TypeError(f"an adapter is an Adapter or its file, got {given!r:.60}")

    @classmethod
    def load(cls, path: str | Path) -> Adapter:
        """What `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not an adapter, or damaged.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"no adapter at {path}: ovsam learn --adapter FILE writes one")
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path} is not an adapter: it is too large to be one")
        try:
            with safe_open(path, "numpy") as file:
                told = file.metadata() or {}
                if told.get("format") != _FORMAT:
                    raise ValueError("its header does not say so")
                header = json.loads(told["adapter"])
                classes, weights = file.get_tensor("classes"), file.get_tensor("weights")
                there = set(file.keys())
                bias, kept = (
                    file.get_tensor(name) if name in there else _NONE for name in ("bias", "kept")
                )
            if classes.dtype != np.int64 or {t.dtype for t in (weights, bias, kept)} != _FLOATS:
                raise ValueError(f"its numbers are {classes.dtype} and {weights.dtype}")
            rows = [Category(*row) for row in header["categories"]]
            name = str(header["vocabulary"])
            return cls(
                vocabulary=Vocabulary(name, tuple(rows)) if rows else load_vocabulary(name),
                classes=classes,
                weights=weights,
                network=str(header["network"]),
                added=int(header["added"]),
                provenance=dict(header["provenance"]),
                bias=bias,
                kept=kept,
            )
        except (SafetensorError, ValueError, TypeError, KeyError, OSError) as error:
            raise ValueError(f"{path} is not an adapter: {error}") from error


def without_added(vocabulary: Vocabulary, added: int) -> Vocabulary:
    """A vocabulary without its last classes, those that a person has added."""
    if not added:
        return vocabulary
    kept = vocabulary.categories[: len(vocabulary) - added]
    return Vocabulary(vocabulary.name.rpartition("+")[0], kept)


def _rows(vocabulary: Vocabulary) -> list[tuple[Any, ...]]:
    """None of a vocabulary that the package knows by its name."""
    known = vocabulary.name in BUILT_IN
    if known and load_vocabulary(vocabulary.name).hash == vocabulary.hash:
        return []
    return [astuple(category) for category in vocabulary]
