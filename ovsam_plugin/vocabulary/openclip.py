"""The text half of any CLIP model of open_clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.vocabulary.text_reading import quiet, require, unit, warn_of

if TYPE_CHECKING:
    from torch import Tensor, nn


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
        warn_of(self.name, f"reads {limit} tokens and cuts", long, cut)
        return unit(self.features(texts))


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
    require("open_clip", "open_clip_torch")
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


def load_openclip_model(model: str, weights: str, text_alone: bool = False) -> tuple[Any, Any]:
    """The model with its weights, and the tokenizer that belongs to it.

    Args:
        model, weights: its name, and a tag or a file.
        text_alone: whether its image half may be a stub.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    from ovsam_plugin.checkpoints.store import clip_checkpoint

    gelu = bool((get_pretrained_cfg(model, weights) or {}).get("quick_gelu"))
    here = clip_checkpoint(model) if text_alone and weights == "openai" else None
    if here is not None:
        return _text_half(model, here, gelu), open_clip.get_tokenizer(model)
    try:
        # A download of a gigabyte may show its bar.
        with quiet(bars=True):
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

    from ovsam_plugin.checkpoints.archive import CheckpointError, open_checkpoint
    from ovsam_plugin.checkpoints.sources import CLIP_TEXT

    stub = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}
    with quiet(bars=True):
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
