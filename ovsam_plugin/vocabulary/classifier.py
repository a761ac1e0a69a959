"""A vocabulary as vectors: what an instance's embedding is compared with."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ovsam_plugin.vocabulary.cache import EmbeddingCache, cache_directory
from ovsam_plugin.vocabulary.templates import check_templates
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower, text_tower_fingerprint
from ovsam_plugin.vocabulary.text_reading import unit
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

OnProgress: TypeAlias = Callable[[int, int], None]

# Sentences handed to a tower at once, and how often a long build is saved.
_CHUNK = 1024
_SAVE_SECONDS = 60.0
# Below this many names a progress bar only flickers.
_BAR_NAMES = 512


@dataclass(frozen=True, eq=False)
class Classifier:
    """The synonyms of a vocabulary as unit vectors.

    A class's logit is the largest cosine over its rows. Rows are flat rather than padded to the
    longest class, since one class has 20 synonyms and most have one.

    Attributes:
        vocabulary: the K classes.
        embeddings: (T, D) float32 unit vectors, one a synonym, grouped by class in order.
        owner: (T,) int64, ascending: the class index of each row; every class has one at least.

    Raises:
        ValueError: the shapes do not agree, or a class has no row.
    """

    vocabulary: Vocabulary
    embeddings: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        rows, classes = self.embeddings.shape[0], len(self.vocabulary)
        if self.embeddings.ndim != 2 or self.owner.shape != (rows,):
            raise ValueError(
                f"need (T, D) embeddings and (T,) owners, got {self.embeddings.shape} and "
                f"{self.owner.shape}"
            )
        steps = np.diff(self.owner, prepend=-1, append=classes)
        if not np.isin(steps[:-1], (0, 1)).all() or steps[-1] != 1:
            raise ValueError(f"owners must go from 0 to {classes - 1}, none left out, ascending")

    @property
    def dim(self) -> int:
        """D, the length of the vectors."""
        return int(self.embeddings.shape[1])


def build_classifier(
    vocabulary: Vocabulary,
    tower: str | TextTower,
    templates: Sequence[str],
    *,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    progress: OnProgress | bool | None = None,
) -> Classifier:
    """Reads every synonym of a vocabulary, by the reference's rule.

    Each synonym is put into every template; the unit vectors of these sentences are averaged and
    made unit again. Vectors come from the disk cache where it has them; the tower is loaded only
    when a synonym is missing there. A build that is stopped keeps what it saved (every minute).

    Args:
        vocabulary: the classes.
        tower: the name of a text tower ("minilm", "openclip:RN50x16/openai"), or one loaded.
        templates: sentences with one `{}` each.
        device: where the tower runs if it must.
        cache_dir: the cache folder; `cache_directory()` when None.
        progress: None shows a bar on a terminal when there is much to read; True or False shows
            it always or never; a function is called with (names read, names to read).

    Raises:
        ValueError, ImportError, RuntimeError: see `check_templates` and `load_text_tower`.
    """
    sentences = check_templates(templates)
    fingerprint = text_tower_fingerprint(tower) if isinstance(tower, str) else tower.fingerprint
    cache = EmbeddingCache(Path(cache_dir or cache_directory()), fingerprint, sentences)
    texts = [synonym for category in vocabulary for synonym in category.synonyms]
    counts = [len(category.synonyms) for category in vocabulary]
    owner = np.repeat(np.arange(len(vocabulary)), counts)

    known, vectors = cache.read()
    rows = {name: row for row, name in enumerate(known)}
    missing = list(dict.fromkeys(text for text in texts if text not in rows))
    if missing:
        loaded = load_text_tower(tower, device) if isinstance(tower, str) else tower
        fresh = _read_names(missing, sentences, loaded, cache, progress)
        rows.update({name: len(known) + i for i, name in enumerate(missing)})
        vectors = np.concatenate([vectors.reshape(-1, fresh.shape[1]), fresh])
    embeddings = vectors[[rows[text] for text in texts]]
    _warn_twins(vocabulary, texts, embeddings, owner)
    return Classifier(vocabulary, embeddings, owner.astype(np.int64))


def read_classifier(path: str | Path, vocabulary: Vocabulary) -> Classifier:
    """A ready-made classifier, as the authors publish it.

    Args:
        path: a torch or safetensors file with one tensor (K, synonyms, D) of unit vectors, classes
            in the vocabulary's order, a class with fewer synonyms padded with its first.
        vocabulary: the K classes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or its tensor is not such a one.
    """
    from ovsam_plugin.checkpoints.archive import open_checkpoint

    with open_checkpoint(path) as checkpoint:
        shapes = {key: info.shape for key, info in checkpoint.tensors.items()}
        if len(shapes) != 1 or len(shape := next(iter(shapes.values()))) != 3:
            raise ValueError(
                f"{path} is not a text classifier: need one tensor (classes, synonyms, D)"
            )
        if shape[0] != len(vocabulary):
            raise ValueError(
                f"{path} has {shape[0]} classes, {vocabulary.name} has {len(vocabulary)}"
            )
        rows = checkpoint.read(next(iter(shapes))).float().numpy()
    if not np.allclose(np.linalg.norm(rows, axis=-1), 1.0, atol=1e-2):
        raise ValueError(f"{path} is not a text classifier: its vectors are not of unit length")
    padded = (rows == rows[:, :1]).all(-1)
    padded[:, 0] = False
    owner = np.broadcast_to(np.arange(shape[0])[:, None], padded.shape)
    return Classifier(vocabulary, unit(rows[~padded]), owner[~padded].astype(np.int64))


def embed_names(
    names: Sequence[str], templates: Sequence[str], tower: TextTower
) -> npt.NDArray[np.float32]:
    """(n, D) float32 unit vectors of names: unit a sentence, mean over templates, unit again."""
    sentences = [template.format(name) for name in names for template in templates]
    vectors = tower.encode(sentences).reshape(len(names), len(templates), -1)
    mean: npt.NDArray[np.float32] = vectors.mean(axis=1, dtype=np.float32)
    return unit(mean)


def _read_names(
    names: list[str],
    templates: tuple[str, ...],
    tower: TextTower,
    cache: EmbeddingCache,
    progress: OnProgress | bool | None,
) -> npt.NDArray[np.float32]:
    """Embeds names in chunks of like length (less padding), saving as it goes."""
    order = sorted(range(len(names)), key=lambda i: len(names[i]))
    size = max(1, _CHUNK // len(templates))
    result = np.zeros((len(names), tower.dim), np.float32)
    done = saved = 0
    last = time.monotonic()
    with _reporting(progress, len(names)) as report:
        while done < len(names):
            chunk = order[done : done + size]
            result[chunk] = embed_names([names[i] for i in chunk], templates, tower)
            done += len(chunk)
            report(done, len(names))
            if done == len(names) or time.monotonic() - last > _SAVE_SECONDS:
                new = order[saved:done]
                cache.add([names[i] for i in new], result[new])
                saved, last = done, time.monotonic()
    return result


@contextmanager
def _reporting(progress: OnProgress | bool | None, total: int) -> Iterator[OnProgress]:
    if callable(progress):
        yield progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    wanted = progress if progress is not None else console.is_terminal and total >= _BAR_NAMES
    with Bar(console=console, transient=True, disable=not wanted) as bar:
        task = bar.add_task(f"Reading {total:,} class names", total=total)
        yield lambda done, _: bar.update(task, completed=done)


def _warn_twins(
    vocabulary: Vocabulary,
    texts: Sequence[str],
    embeddings: npt.NDArray[np.float32],
    owner: npt.NDArray[np.int64],
) -> None:
    """Warns when the tower reads two classes as the same: no image can tell them apart."""
    heads = np.ascontiguousarray(embeddings[:, :8]).view("V32").ravel()
    first: dict[bytes, int] = {}
    twins = []
    for row, head in enumerate(heads.tolist()):
        other = first.setdefault(head, row)
        if owner[other] != owner[row] and np.array_equal(embeddings[other], embeddings[row]):
            twins.append((vocabulary.names[owner[other]], vocabulary.names[owner[row]]))
    if twins:
        shown = "; ".join(f"{a!r} and {b!r}" for a, b in twins[:3])
        more = f" and {len(twins) - 3} more pairs" if len(twins) > 3 else ""
        warnings.warn(
            f"the text tower reads {shown}{more} as the same words: give each a synonym that it "
            "can tell apart",
            stacklevel=3,
        )
