"""What has been labelled so far, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_SHOWN_REASONS = 10


@dataclass
class LabelTally:
    """What has been done so far; see `LabelSummary`."""

    labelled: int = 0
    failed: int = 0
    instances: int = 0
    reasons: list[str] = field(default_factory=list)

    def count(self, sample_id: str, filepath: str, labels: int, error: str | None) -> None:
        """Adds a sample that has been written."""
        self.labelled += 1
        self.instances += labels
        if error is not None:
            self.failed += 1
            if len(self.reasons) < _SHOWN_REASONS:
                self.reasons.append(f"{Path(filepath).name}: {error}")

    def add(self, other: LabelTally) -> None:
        """Adds what another worker has done."""
        self.labelled += other.labelled
        self.failed += other.failed
        self.instances += other.instances
        self.reasons = (self.reasons + other.reasons)[:_SHOWN_REASONS]
