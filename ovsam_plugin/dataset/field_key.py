"""How a model learns the name of the field that its labels go to."""

from __future__ import annotations

from collections.abc import Callable


class FieldKey(str):
    """A key of a model's answer that names a field beside the label field.

    FiftyOne stores the values of a dict under `label_field + "_" + key`. This key makes that sum
    `label_field + key`, so that the empty key is the label field itself, and tells the field's
    name to a callback before FiftyOne writes to it: no other way leads from `apply_model` to a
    model, and an attribute that is not declared by then stays invisible in the App.

    Args:
        suffix: what is put behind the label field's name.
        on_field: called with that name.
    """

    _on_field: Callable[[str], None]

    def __new__(cls, suffix: str, on_field: Callable[[str], None]) -> FieldKey:
        key = super().__new__(cls, suffix)
        key._on_field = on_field
        return key

    def __radd__(self, prefix: str) -> str:
        field = prefix.removesuffix("_")
        self._on_field(field)
        return field + str(self)
