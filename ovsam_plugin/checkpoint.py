"""Where a preset's weights are, and how they are loaded without trusting them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import Preset

SHIPPED = Path(__file__).resolve().parent / "weights"
_LISTED = 8


def weights_path(preset: Preset) -> Path:
    """The file that holds a preset's assembled weights.

    Raises:
        FileNotFoundError: it is not on this machine; the message says what to do.
    """
    if preset.weights_file is None:
        raise FileNotFoundError(
            f"the weights of {preset.name} are not shipped: they are published under another "
            f"licence ({preset.licence}). Pass weights=FILE.safetensors of the assembled model, "
            "or use ovsam-lite, which works offline"
        )
    path = SHIPPED / preset.weights_file
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.name} is missing from the installation: install fiftyone-ovsam again"
        )
    return path


def load_network(preset: Preset, path: Path | None = None) -> tuple[OVSAM, str]:
    """A preset's network with weights from a safetensors file.

    Args:
        preset: its description decides the network.
        path: weights to use instead of the preset's own.

    Returns:
        The network in float32 on the CPU, in evaluation mode, and the file's sha256.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not safetensors, or its tensors are not this network's; the message
            lists missing, surplus and misshapen ones.
    """
    path = path or weights_path(preset)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a sound safetensors file: {error}") from error
    with torch.device("meta"):
        network = OVSAM(preset.network)
    problems = compare_keys(network.state_dict(), state)
    if problems:
        raise ValueError(f"{path} does not fit {preset.name}:\n" + "\n".join(problems))
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    network.load_state_dict(state, assign=True)
    return network.eval(), file_sha256(path)


def compare_keys(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> list[str]:
    """What keeps one state dict from being loaded as another, a line a kind of problem."""
    shared = expected.keys() & found.keys()
    kinds = {
        "missing": sorted(expected.keys() - found.keys()),
        "not expected": sorted(found.keys() - expected.keys()),
        "of another shape": sorted(k for k in shared if expected[k].shape != found[k].shape),
    }
    lines = []
    for kind, keys in kinds.items():
        if keys:
            more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            lines.append(f"{len(keys)} {kind}: {', '.join(keys[:_LISTED])}{more}")
    return lines


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
