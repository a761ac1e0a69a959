"""The first half of an answer: photographs encoded together, fewer where memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.hardware.device import free_memory, is_out_of_memory
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.prediction.labeler import Labeler, Unnamed
from ovsam_plugin.prediction.predictor import Encoding
from ovsam_plugin.prediction.prompts import Grid

Found: TypeAlias = Encoding | Unnamed | Exception
"""What names are given to, or why there is nothing."""


class BatchEncoder:
    """Encodes batches of photographs; none costs another.

    Args:
        labeler: whose predictor and namer look at them.
    """

    def __init__(self, labeler: Labeler) -> None:
        self._labeler = labeler
        # Photographs encoded at once, where memory has run out before.
        self._at_once: int | None = None

    def __call__(self, batch: Sequence[Loaded], grid: Grid | None) -> list[Found]:
        """What names are given to: encodings; with a namer, what it made of all photographs.

        Args:
            batch: each with a frame.
            grid: where a namer's labeler looks when nothing is asked.
        """
        if self._labeler.namer is None:
            return list(self._encode(batch))
        asked = [None if item.asked is None else item.asked.prompts for item in batch]
        looked = [i for i, prompts in enumerate(asked) if not self._labeler.is_drawn(prompts)]
        encodings = dict(zip(looked, self._encode([batch[i] for i in looked])))
        found: list[Found] = []
        for i, (item, prompts) in enumerate(zip(batch, asked)):
            assert item.frame is not None
            encoding = encodings.get(i, item.frame.original_size)
            try:
                if isinstance(encoding, Exception):
                    raise encoding
                found.append(self._labeler.find(encoding, prompts or grid))
            except Exception as error:
                found.append(error)
        seen = [(i, one) for i, one in enumerate(found) if isinstance(one, Unnamed)]
        pairs = [(_pixels(batch[i]), one) for i, one in seen]
        for (i, _), embedded in zip(seen, self._embedded(pairs)):
            found[i] = embedded
        return found

    def _embedded(self, pairs: Sequence[tuple[Pixels, Unnamed]]) -> list[Unnamed | Exception]:
        """All at once; one at a time where that fails, so that no photograph costs another."""
        if not pairs:
            return []
        try:
            return list(self._labeler.embed(pairs))
        except Exception as error:
            if len(pairs) == 1:
                return [error]
            return [one for pair in pairs for one in self._embedded([pair])]

    def _encode(self, batch: Sequence[Loaded]) -> list[Encoding | Exception]:
        size = self._at_once or len(batch)
        done: list[Encoding | Exception] = []
        while len(done) < len(batch):
            done += self._encode_at_once(batch[len(done) : len(done) + size])
            size = self._at_once or size
        return done

    def _encode_at_once(self, batch: Sequence[Loaded]) -> list[Encoding | Exception]:
        try:
            frames = [item.frame for item in batch if item.frame is not None]
            return list(self._labeler.predictor.encode(frames))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            half = len(batch) // 2
            if is_out_of_memory(error):
                self._at_once = half
        # Outside of the handler, which holds what had been computed.
        free_memory()
        return self._encode_at_once(batch[:half]) + self._encode_at_once(batch[half:])


def _pixels(item: Loaded) -> Pixels:
    assert item.pixels is not None
    return item.pixels
