"""The four functions that make a folder a source of FiftyOne zoo models.

Light to import: FiftyOne imports the door of every plugin and zoo source again and again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsam_plugin.dataset.zoo_source import only_reads
from ovsam_plugin.import_lock import IMPORTS

if TYPE_CHECKING:
    from ovsam_plugin.dataset.model import OvsamModel
    from ovsam_plugin.dataset.text_model import TextModel
    from ovsam_plugin.hardware.precision import Precision

_logger = logging.getLogger(__name__)


def download_model(model_name: str, model_path: str) -> None:
    """Has a model's weights on this machine, and notes for the zoo that they are.

    The weights of `ovsam-lite` come with the package. Those of a published preset are fetched if
    their licence is accepted already. FiftyOne calls this before `load_model`, which may be given
    weights of its own: so nobody is asked here, and what cannot be had is said and no error.

    Args:
        model_name: a preset.
        model_path: where a small note takes the place of the file that the zoo looks for; none is
            left where weights are missing, so that the next call tries again.
    """
    from ovsam_plugin.presets import get_preset

    # A text model's tower is loaded when it is first asked, from where the preset has it.
    preset = None if only_reads(model_name) else get_preset(model_name)
    if preset is not None and preset.release is not None:
        from ovsam_plugin.checkpoints.store import may_fetch, obtain

        if not may_fetch(preset):
            _logger.warning(
                "%s is not fetched, because its licence has not been accepted; to read and accept "
                "it, and fetch: ovsam weights fetch %s",
                model_name,
                model_name,
            )
            return
        try:
            obtain(preset)
        except (OSError, ValueError) as error:
            _logger.warning("%s is not fetched: %s", model_name, error)
            return
    Path(model_path).write_text(json.dumps({"model": model_name}) + "\n")


def load_model(
    model_name: str,
    model_path: str | None = None,
    *,
    vocabulary: str | Path | Sequence[str] = "lvis",
    device: str = "auto",
    weights: str | Path | None = None,
    min_confidence: float | None = None,
    points_per_side: int | None = None,
    refine_masks: bool = False,
    namer: str | None = None,
    cuts: str | None = None,
    fingerprint: str | None = None,
    precision: Precision = "auto",
) -> OvsamModel | TextModel:
    """A model for `apply_model`, or for an index's text searches (`zoo_source.TEXT_MODELS`).

    The weights of a published preset are fetched first if they are not on this machine, once their
    licence is accepted.

    Args:
        model_name: a preset.
        model_path: where the zoo noted the download; not read.
        vocabulary: as for `load_vocabulary`.
        device: "auto", "cpu", "cuda", ...
        weights: a .safetensors file of the assembled model; the preset's own when None.
        min_confidence: labels below it are left out; None keeps every answer.
        points_per_side: the lattice of "everything"; the preset's when None.
        refine_masks: whether mask prompts are drawn anew instead of only named.
        namer, cuts: who names in the preset's place; see `label_dataset`.
        fingerprint: of the text tower that an open_clip namer had when it made an index.
        precision: what is computed with, "auto", "fp32", "bf16" or "fp16".

    Raises:
        ValueError: an unknown preset, vocabulary, namer or precision, or a number out of range.
        FileNotFoundError: the preset's weights are not on this machine and cannot be fetched.
    """
    if only_reads(model_name):
        with IMPORTS:
            from ovsam_plugin.dataset.text_model import load_text_model

        return load_text_model(model_name, device, namer=namer, fingerprint=fingerprint)
    with IMPORTS:
        from ovsam_plugin.dataset.model_building import build_model

    return build_model(
        model_name,
        vocabulary=vocabulary,
        device=device,
        weights=weights,
        min_confidence=min_confidence,
        points_per_side=points_per_side,
        refine_masks=refine_masks,
        namer=namer,
        cuts=cuts,
        precision=precision,
    )


def resolve_input(model_name: str, ctx: Any) -> Any:
    """The form that FiftyOne's own `apply_zoo_model` operator shows for a model."""
    from fiftyone.operators import types

    inputs = types.Object()
    if only_reads(model_name):
        return types.Property(inputs)
    inputs.str(
        "vocabulary",
        default="lvis",
        required=True,
        label="Vocabulary",
        description="coco, lvis, imagenet-1k, imagenet-21k, open-22k, a file, or names with commas",
    )
    inputs.bool("refine_masks", default=False, label="Redraw prompted masks")
    return types.Property(inputs)


def parse_parameters(model_name: str, ctx: Any, params: dict[str, Any]) -> None:
    """Turns the form's values into keywords of `load_model`: an empty text is not given."""
    for key in [key for key, value in params.items() if value in ("", None)]:
        params.pop(key)
