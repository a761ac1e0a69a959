"""The parts of a published model put together, with every key of every file accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ovsam_plugin.checkpoints.archive import CheckpointArchive, CheckpointError, TensorInfo
from ovsam_plugin.checkpoints.sources import Part
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.ovsam import OVSAM

_LISTED = 8
# Counts batches of a training that is over; some exports leave it out.
_COUNTER = ".num_batches_tracked"

Layout = Mapping[str, Tensor]


def compare_keys(expected: Layout, found: Mapping[str, Tensor | TensorInfo]) -> list[str]:
    """What keeps one state dict from being loaded as another, a line a kind of problem."""
    shared = expected.keys() & found.keys()
    return list_problems(
        {
            "missing": expected.keys() - found.keys(),
            "not expected": found.keys() - expected.keys(),
            "of another shape": {k for k in shared if expected[k].shape != found[k].shape},
            "of another type": {
                k
                for k in shared
                if expected[k].dtype.is_floating_point != found[k].dtype.is_floating_point
            },
        }
    )


def list_problems(kinds: Mapping[str, set[str]]) -> list[str]:
    """A line for each kind that has keys, the first few of them named."""
    lines = []
    for kind, keys in kinds.items():
        if keys:
            first = ", ".join(sorted(keys)[:_LISTED])
            more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            lines.append(f"{len(keys)} {kind}: {first}{more}")
    return lines


def layout(description: NetworkDescription) -> dict[str, Tensor]:
    """Every key of the assembled model with its shape and type, as tensors without numbers."""
    with torch.device("meta"):
        return dict(OVSAM(description).state_dict())


def holds(checkpoint: CheckpointArchive, part: Part, expected: Layout) -> bool:
    """Whether a file has anything of a part's share of a layout."""
    return any(_is_taken(part, key) and part.rename(key) in expected for key in checkpoint.tensors)


def assemble(
    description: NetworkDescription, files: Sequence[tuple[Part, CheckpointArchive]]
) -> dict[str, Tensor]:
    """The state dict of a network, out of the files of its parts.

    All keys, shapes and types are looked at before any number is read.

    Args:
        description: of the network.
        files: each part with its open file.

    Returns:
        exactly the keys of `OVSAM(description).state_dict()`, float32 (half precision is widened),
        the counters int64.

    Raises:
        CheckpointError: keys are missing, surplus, misshapen or of another type (all are listed),
            or numbers are damaged, not finite, or not the same in two files that both have them.
    """
    expected = layout(description)
    _check_keys(expected, files)
    state = {}
    for part, checkpoint in files:
        for key in checkpoint.tensors:
            if _is_taken(part, key):
                name = part.rename(key)
                state[name] = _numbers(checkpoint, key, expected[name].dtype)
    for name, value in expected.items():
        if name.endswith(_COUNTER):
            state.setdefault(name, torch.zeros(value.shape, dtype=value.dtype))
    for part, checkpoint in files:
        _compare_shared(part, checkpoint, state)
    return {name: state[name] for name in expected}


def _is_taken(part: Part, key: str) -> bool:
    return not key.startswith(part.leaves or ("\0",)) and part.rename(key).startswith(part.takes)


def _spares(part: Part, checkpoint: CheckpointArchive) -> Iterator[tuple[str, str]]:
    """Keys of a file, with their assembled names, that are neither taken nor left."""
    for key in checkpoint.tensors:
        if not key.startswith(part.leaves or ("\0",)) and not _is_taken(part, key):
            yield key, part.rename(key)


def _check_keys(expected: Layout, files: Sequence[tuple[Part, CheckpointArchive]]) -> None:
    taken = tuple(prefix for part, _ in files for prefix in part.takes)
    problems = list_problems({"in no file": {k for k in expected if not k.startswith(taken)}})
    for part, checkpoint in files:
        found = {
            part.rename(key): info
            for key, info in checkpoint.tensors.items()
            if _is_taken(part, key)
        }
        spares = {name: checkpoint.tensors[key] for key, name in _spares(part, checkpoint)}
        share = {
            k: v for k, v in expected.items() if k.startswith(part.takes) and not _left(part, k)
        }
        absent = {k for k in share.keys() - found.keys() if k.endswith(_COUNTER)}
        wanted = {k: v for k, v in share.items() if k not in absent}
        wanted.update((k, expected[k]) for k in spares if k in expected)
        problems += [
            f"{checkpoint.name}: {line}" for line in compare_keys(wanted, {**spares, **found})
        ]
    if problems:
        raise CheckpointError("the files do not make up the model:\n" + "\n".join(problems))


def _left(part: Part, name: str) -> bool:
    """Whether an assembled key of a part's prefixes is for another part to give."""
    return bool(part.leaves) and name.startswith(part.leaves)


def _compare_shared(part: Part, checkpoint: CheckpointArchive, state: Layout) -> None:
    different = {
        key
        for key, name in _spares(part, checkpoint)
        if not name.endswith(_COUNTER)
        and not torch.equal(_numbers(checkpoint, key, state[name].dtype), state[name])
    }
    if different:
        (line,) = list_problems({"with other numbers than in the file they belong to": different})
        raise CheckpointError(f"{checkpoint.name} belongs to another model: {line}")


def _numbers(checkpoint: CheckpointArchive, key: str, dtype: torch.dtype) -> Tensor:
    tensor = checkpoint.read(key).to(dtype)
    if dtype.is_floating_point and not torch.isfinite(tensor).all():
        raise CheckpointError(f"{checkpoint.name} has numbers at {key} that are not finite")
    return tensor
