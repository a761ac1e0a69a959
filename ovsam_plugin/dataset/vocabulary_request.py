"""The part of a form that chooses a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

from ovsam_plugin.dataset.form import Form
from ovsam_plugin.dataset.targets import Samples, class_fields, classes_present, root_dataset
from ovsam_plugin.vocabulary.sources import load_vocabulary


@dataclass(frozen=True, kw_only=True)
class VocabularyRequest(Form):
    """The values of a form with a vocabulary in it.

    Attributes:
        vocabulary: a built-in vocabulary, or "names", "file" or "field", with `names`, `file` or
            `class_field` saying which.
    """

    vocabulary: str = "lvis"
    names: str | None = None
    file: str | None = None
    class_field: str | None = None

    def class_fields(self, samples: Samples) -> list[str]:
        """Fields that could give the vocabulary."""
        return class_fields(root_dataset(samples))

    @property
    def vocabulary_input(self) -> str:
        """The form's field that decides the vocabulary."""
        return {"field": "class_field"}.get(self.vocabulary, self.vocabulary)

    def vocabulary_spec(self) -> str:
        """As for `vocabulary_of`.

        Raises:
            ValueError: what the choice needs is left blank.
        """
        if self.vocabulary == "names":
            names = given(self.names, "enter names separated by commas")
            return names if "," in names else f"{names},"
        if self.vocabulary == "file":
            return given(self.file, "enter the path of a .txt, .csv or .json file")
        if self.vocabulary == "field":
            return "dataset:" + given(self.class_field, "choose the field that holds the classes")
        return self.vocabulary

    def check_vocabulary(self, samples: Samples) -> None:
        """Whether the vocabulary can be read.

        Raises:
            ValueError: it cannot.
        """
        spec = self.vocabulary_spec()
        if self.vocabulary == "field":
            classes_present(samples, spec.removeprefix("dataset:"))
        elif self.vocabulary in ("names", "file"):
            load_vocabulary(spec)


def given(value: str | None, otherwise: str) -> str:
    """The value.

    Raises:
        ValueError: it is blank; the message is `otherwise`.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(otherwise)
    return value
