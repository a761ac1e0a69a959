"""What an engine is: it hands a labelling to other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.share import Share


class LabelingEngine(Protocol):
    """Where shares are done."""

    def started(self, samples: int) -> AbstractContextManager[None]:
        """While it lasts, workers are there or on their way: `run` is called within.

        They begin to import what labels, which takes seconds, while the caller prepares the run.

        Args:
            samples: how many are to be labelled, at most.
        """
        ...

    def run(self, share: Share, ids: Sequence[str], count: Callable[[int], None]) -> LabelTally:
        """Has samples labelled.

        Not all of them may be done in the end, as where workers died too often: the caller looks,
        and does what is left.

        Args:
            share: what is to be done.
            ids: samples that are to be labelled.
            count: told how many more have been.

        Raises:
            RuntimeError: a worker could not work at all; what was labelled is kept.
        """
        ...
