"""The part of a form that asks whether labels that are there may be replaced."""

from __future__ import annotations

from dataclasses import dataclass

from ovsam_plugin.dataset.form import Form
from ovsam_plugin.dataset.overwriting import MadeByHand, Overwrite, made_by_hand
from ovsam_plugin.dataset.targets import Samples

REPLACE, REPLACE_ALL = "Replace existing labels", "Also replace labels"
"""What the form calls the boxes of `overwrite` and, as a beginning, of `overwrite_all`."""


@dataclass(frozen=True, kw_only=True)
class OverwriteRequest(Form):
    """The values of a form that writes to a label field.

    Attributes:
        overwrite: whether labels that are there may be replaced.
        overwrite_all: whether a person's work among them may be replaced too.
    """

    overwrite: Overwrite = False
    overwrite_all: bool = False

    def consent(self) -> Overwrite:
        """As the library takes it."""
        return "all" if self.overwrite and self.overwrite_all else self.overwrite

    def target_field(self, samples: Samples) -> str | None:
        """The field that is written to; None as long as the form does not say."""
        raise NotImplementedError

    def at_stake(self, samples: Samples) -> MadeByHand | None:
        """The person's work that replacing would take away; None where it needs no consent."""
        field = self.target_field(samples) if self.overwrite else None
        return (made_by_hand(samples, field) or None) if field else None

    def check_consent(self, samples: Samples) -> None:
        """Whether consent is given to what needs it.

        Raises:
            ValueError: it is not.
        """
        if self.consent() != "all" and (found := self.at_stake(samples)):
            raise ValueError(
                f"field {found.field!r} holds labels that are replaced only on request ({found}): "
                f'use another field, or tick "{REPLACE_ALL}"'
            )
