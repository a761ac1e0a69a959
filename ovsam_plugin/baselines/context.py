"""Learned context (CoOp): vectors that a text tower reads before a class name, for the words
"a photo of a".

Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022, with one context for all
classes and the name at the end, so that it serves every vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ovsam_plugin.files import draft_of
from ovsam_plugin.vocabulary.classifier import Classifier, OnProgress, build_classifier
from ovsam_plugin.vocabulary.text import TextTower
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

FORMAT = "ovsam-context"
# One token in every tower; the vectors stand where these do.
_PLACEHOLDER = "x"
_BATCH = 256


class PromptableTower(TextTower, Protocol):
    """A text tower whose first layer can be given vectors; all of `vocabulary.text` are.

    Attributes:
        table: the vectors of its tokens, (tokens, W).
    """

    @property
    def table(self) -> nn.Embedding: ...

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, without those that begin and end a sentence."""
        ...

    def forward(self, texts: Sequence[str]) -> Tensor:
        """(n, D) vectors of n sentences read in one batch, with gradients."""
        ...


@dataclass(frozen=True, eq=False)
class Context:
    """A learned context and where it comes from.

    Attributes:
        vectors: (M, W) float32 on the CPU, as rows of the tower's token table.
        method: the name of the embedder whose embeddings it was trained on.
        tower: the fingerprint of the text tower that reads it.
        provenance: what else is known of its making; plain JSON.
    """

    vectors: Tensor
    method: str
    tower: str
    provenance: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """As safetensors, with the rest as JSON in its metadata."""
        path = Path(path).expanduser()
        facts = {"method": self.method, "tower": self.tower, **self.provenance}
        metadata = {"format": FORMAT, "context": json.dumps(facts)}
        with draft_of(path) as draft:
            save_file({"vectors": self.vectors.contiguous()}, draft, metadata=metadata)

    @classmethod
    def load(cls, path: str | Path) -> Context:
        """What `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a learned context.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"no learned context at {path}: train one first")
        try:
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ValueError(f"{path} is a safetensors file, but not a learned context")
                facts = json.loads(metadata["context"])
                return cls(
                    file.get_tensor("vectors"), facts.pop("method"), facts.pop("tower"), facts
                )
        except SafetensorError as error:
            raise ValueError(f"{path} is not a valid safetensors file: {error}") from error


def word_vectors(tower: PromptableTower, words: str) -> Tensor:
    """(M, W) float32: the vectors that a tower has for words, a row a token."""
    ids = torch.tensor(tower.tokens(words), device=tower.table.weight.device)
    return tower.table.weight[ids].detach().float().clone()


def read_names(tower: PromptableTower, vectors: Tensor, names: Sequence[str]) -> Tensor:
    """Names after a context.

    Args:
        tower: reads them.
        vectors: (M, W) the context; gradients flow to it.
        names: n sentence ends such as "cat.", read in one batch.

    Returns:
        (n, D) unit vectors.
    """
    places = " ".join([_PLACEHOLDER] * len(vectors))
    with _context_in_place(tower.table, vectors):
        return F.normalize(tower.forward([f"{places} {name}" for name in names]).float(), dim=-1)


@contextmanager
def _context_in_place(table: nn.Embedding, vectors: Tensor) -> Iterator[None]:
    """While it lasts, a sentence's tokens 1 to M are these vectors, whatever was looked up."""

    def swap(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        context = vectors.to(output.dtype).expand(len(output), -1, -1)
        return torch.cat([output[:, :1], context, output[:, 1 + len(vectors) :]], dim=1)

    handle = table.register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()


class ContextTower:
    """A text tower that reads everything after a learned context; itself a `TextTower`.

    Args:
        tower: the tower that the context was trained with.
        context: the vectors.

    Raises:
        ValueError: the context belongs to another tower.
    """

    def __init__(self, tower: PromptableTower, context: Context) -> None:
        if context.tower != tower.fingerprint:
            raise ValueError(
                f"the learned context was trained for another text tower than {tower.name}: "
                "train it again with this one"
            )
        self.name = f"{tower.name} after a learned context"
        self.dim = tower.dim
        self._tower = tower
        self._vectors = context.vectors.to(tower.table.weight.device)
        digest = hashlib.sha256(context.vectors.numpy().tobytes()).hexdigest()
        self.fingerprint = f"{tower.fingerprint}/{digest}"

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, D) float32 unit vectors of n names."""
        parts = [
            read_names(self._tower, self._vectors, texts[i : i + _BATCH]).cpu().numpy()
            for i in range(0, len(texts), _BATCH)
        ]
        return np.concatenate([np.zeros((0, self.dim), np.float32), *parts])


def context_classifier(
    vocabulary: Vocabulary,
    tower: TextTower,
    context: Context,
    *,
    progress: OnProgress | bool | None = None,
) -> Classifier:
    """Every synonym of a vocabulary after a learned context, cached on disk as plain names are.

    Raises:
        ValueError: the context belongs to another tower.
    """
    reader = ContextTower(cast(PromptableTower, tower), context)
    return build_classifier(vocabulary, reader, ("{}.",), progress=progress)
