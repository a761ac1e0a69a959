"""What text towers of every kind need: unit vectors, and what they tell or keep to themselves."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The vectors at unit length along the last axis; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(length, np.float32(1e-12))
    return scaled


def require(module: str, package: str) -> None:
    """Raises ImportError, with the command that installs it, where a module is missing."""
    if find_spec(module) is None:
        raise ImportError(f"{module} is not installed: pip install {package}")


def warn_of(tower: str, what: str, texts: Sequence[str], guilty: Sequence[bool]) -> None:
    """Warns of the guilty ones among some texts, of which the first few are shown."""
    found = [text for text, bad in zip(texts, guilty, strict=True) if bad]
    if found:
        shown = ", ".join(f"{text:.60}" for text in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        warnings.warn(f"text tower {tower} {what}: {shown}{more}", stacklevel=3)


@contextmanager
def quiet(bars: bool = False) -> Iterator[None]:
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
