"""Where a preset's weights are, and how they are loaded without trusting them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ovsam_plugin.checkpoints.assemble import compare_keys
from ovsam_plugin.checkpoints.record import checked_sha256, file_sha256
from ovsam_plugin.checkpoints.store import obtain
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.prediction.sam import SamNetwork, load_sam
from ovsam_plugin.presets import Preset

__all__ = ["SHIPPED", "compare_keys", "file_sha256", "load_network", "weights_path"]

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
_A_MAPPING = 4


def weights_path(preset: Preset) -> Path:
    """The file that holds a preset's assembled weights, fetched first where it must be.

    Raises:
        FileNotFoundError: it is not on this machine and cannot be fetched; the message says why and
            what to do.
        ValueError: what was fetched is not the published model.
    """
    if preset.weights_file is None:
        return obtain(preset)
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
        ValueError: the file has changed since it was made, is not safetensors, or its tensors are
            not this network's; the message lists missing, surplus and misshapen ones.
    """
    path = path or weights_path(preset)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    sha256 = checked_sha256(path)
    try:
        state = _mapped(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a valid safetensors file: {error}") from error
    with torch.device("meta"):
        network = OVSAM(preset.network)
    problems = compare_keys(network.state_dict(), state)
    if problems:
        raise ValueError(f"{path} does not fit {preset.name}:\n" + "\n".join(problems))
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    network.load_state_dict(state, assign=True)
    return network.eval(), sha256


def load_drawer(preset: Preset, path: Path | None) -> tuple[SamNetwork, str]:
    """The network of a preset that draws and does not name, from segment_anything's checkpoint.

    Args:
        preset: one of `SAM_PRESETS`.
        path: the checkpoint; which model it is, is read from it.

    Returns:
        The network on the CPU, in evaluation mode, and the file's sha256.

    Raises:
        FileNotFoundError: none is given, or there is no such file.
        ValueError: it is not a checkpoint of SAM.
    """
    if path is None:
        raise FileNotFoundError(
            f"{preset.name} draws its masks with a segment_anything checkpoint: give its path as "
            "the weights, such as sam_vit_b_01ec64.pth"
        )
    return SamNetwork(load_sam(path)).eval(), file_sha256(path)


def _mapped(path: Path) -> dict[str, Tensor]:
    """A file's tensors, mapped into memory: nothing is copied yet.

    A mapping is given back once no tensor is in it. Convolutions, which a predictor lays out anew,
    share one by the few, so that they are never all in memory twice.
    """
    state: dict[str, Tensor] = load_file(path)
    convolutions = [key for key, value in state.items() if value.ndim == 4]
    for i in range(0, len(convolutions), _A_MAPPING):
        with safe_open(str(path), framework="pt") as file:
            for key in convolutions[i : i + _A_MAPPING]:
                state[key] = file.get_tensor(key)
    return state
