"""What has been labelled so far, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_SHOWN_REASONS = 10


@dataclass
class LabelTally:
    """What has been done so far; see `LabelSummary`.

    Attributes:
        failed_ids: samples that have been tried, and could not be labelled.
    """

    labelled: int = 0
    instances: int = 0
    reasons: list[str] = field(default_factory=list)
    failed_ids: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many could not be labelled."""
        return len(self.failed_ids)

    def count(self, sample_id: str, filepath: str, labels: int, error: str | None) -> None:
        """Adds a sample that has been written."""
        self.labelled += 1
        self.instances += labels
        if error is not None:
            self.failed_ids.append(sample_id)
            if len(self.reasons) < _SHOWN_REASONS:
                self.reasons.append(f"{Path(filepath).name}: {error}")

    def since(self, earlier: LabelTally) -> LabelTally:
        """What has been counted since; adding it to `earlier` gives this."""
        return LabelTally(
            self.labelled - earlier.labelled,
            self.instances - earlier.instances,
            self.reasons[len(earlier.reasons) :],
            self.failed_ids[len(earlier.failed_ids) :],
        )

    def add(self, other: LabelTally) -> None:
        """Adds what another worker has done."""
        self.labelled += other.labelled
        self.instances += other.instances
        self.failed_ids += other.failed_ids
        self.reasons = (self.reasons + other.reasons)[:_SHOWN_REASONS]
