"""Why a prompt has no answer."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """Why a prompt has no answer.

    Attributes:
        label_id: of the label that asked.
        reason: in words.
    """

    label_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.label_id}: {self.reason}"

    @classmethod
    def read(cls, written: str) -> Refusal:
        """As the database keeps it, in words."""
        label_id, _, reason = written.partition(": ")
        return cls(label_id, reason)
