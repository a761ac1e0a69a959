"""The prompts of one sample, read from its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from ovsam_plugin.dataset.internals import list_in
from ovsam_plugin.dataset.prompt_kinds import BY_TYPE, PROMPT_KINDS, label_types
from ovsam_plugin.dataset.refusal import Refusal
from ovsam_plugin.prediction.prompts import Prompt

_SHOWN_REASONS = 5


@dataclass(frozen=True)
class Asked:
    """The prompts of one sample.

    Attributes:
        prompts: those that lie on the image, by `PROMPT_KINDS`, then in the labels' order.
        refused: why each of the others was left out.
    """

    prompts: tuple[Prompt, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def error(self) -> str | None:
        """The reasons in one line, as `left_out` tells them."""
        return left_out(self.refused, self.total)

    @property
    def total(self) -> int:
        """All prompts of the sample."""
        return len(self.prompts) + len(self.refused)


def left_out(refused: Sequence[Refusal], total: int) -> str | None:
    """Why some of a sample's prompts have no answer, in one line; None where each has.

    Args:
        refused: a reason each, of which the first few are shown.
        total: all prompts of the sample.
    """
    if not refused:
        return None
    shown = "; ".join(map(str, refused[:_SHOWN_REASONS]))
    more = "" if len(refused) <= _SHOWN_REASONS else "; ..."
    return f"{len(refused)} of {total} prompts left out: {shown}{more}"


def read_prompts(
    labels: Mapping[str, fo.Label | None], size: tuple[int, int], *, refine_masks: bool = False
) -> Asked:
    """The prompts that a sample's labels make.

    Args:
        labels: label or None by keywords of `apply_model`.
        size: (height, width) in pixels of the image.
        refine_masks: whether masks are drawn anew or only named.

    Raises:
        TypeError: a label is not of a type that its key allows.
    """
    prompts: list[Prompt] = []
    refused: list[Refusal] = []
    labels = _by_kind(labels)
    for kind in PROMPT_KINDS.values():
        for label in elements(kind.key, labels.get(kind.key)):
            try:
                prompt = kind.read(label, size, refine_masks)
                prompts.append(prompt.on_image(width=size[1], height=size[0]))
            except Exception as error:  # whatever is wrong with it costs no other
                refused.append(Refusal(str(label.id), str(error)))
    return Asked(tuple(prompts), tuple(refused))


def _by_kind(labels: Mapping[str, fo.Label | None]) -> dict[str, fo.Label | None]:
    """With the key of its type in place of `prompt_field`."""
    found = {key: label for key, label in labels.items() if key != BY_TYPE}
    label = labels.get(BY_TYPE)
    if label is None:
        return found
    elements(BY_TYPE, label)  # tells what is allowed
    key = next(kind.key for kind in PROMPT_KINDS.values() if isinstance(label, kind.labels))
    if found.get(key) is not None:
        raise ValueError(f"{BY_TYPE} and {key} both hold prompts here: give one of the two")
    return {**found, key: label}


def elements(key: str, label: fo.Label | None) -> list[Any]:
    """The labels that a field's value holds: those of a list, itself, or none.

    Args:
        key: keyword of `apply_model` under which the field asks.
        label: what a sample's field holds.

    Raises:
        TypeError: it is not of a type that the key allows.
    """
    if label is None:
        return []
    allowed = label_types(key)
    if not isinstance(label, allowed):
        names = ", ".join(t.__name__ for t in allowed)
        raise TypeError(f"`{key}` must name a field of {names}, got {type(label).__name__}")
    inner = list_in(label)
    return [label] if inner is None else list(label[inner] or [])
