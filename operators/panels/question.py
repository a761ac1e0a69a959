"""A question that a panel's script asks in Python."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

_KINDS: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}


class Question(foo.Operator):  # type: ignore[misc]
    """One question of a script; what a person did wrong comes back as a `problem`."""

    name = ""
    # What the script has to say, and how: texts, lists, objects.
    needs: tuple[tuple[str, type], ...] = ()
    # Whether labels change.
    changes = False

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name=self.name,
            label=self.name,
            unlisted=True,
            risk_level=types.RiskLevel.MEDIUM if self.changes else types.RiskLevel.LOW,
        )

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        for name, kind in self.needs:
            if not isinstance(given := ctx.params.get(name), kind):
                return {"problem": f"{self.name} needs {name}, {_KINDS[kind]}, got {given!r:.80}"}
        try:
            return self.answer(ctx, ctx.params)
        except (ValueError, FileNotFoundError) as error:
            return {"problem": str(error)}

    def answer(self, ctx: foo.ExecutionContext, params: dict[str, Any]) -> dict[str, Any]:
        """What the script is told, as JSON has it. Raises ValueError, FileNotFoundError."""
        raise NotImplementedError
