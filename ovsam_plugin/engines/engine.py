"""What an engine is: it hands a labelling to other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.share import Share


class LabelingEngine(Protocol):
    """Where shares are done."""

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
