"""Photographs of a dataset encoded before anybody clicks on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ovsam_plugin.dataset.targets import Samples, check_images
from ovsam_plugin.images.reading import ImageError
from ovsam_plugin.interactive.encoded_files import MOST_BYTES, EncodedFiles
from ovsam_plugin.interactive.shared_network import (
    Photograph,
    encodings_directory,
    load_shared_network,
)
from ovsam_plugin.presets import Preset


@dataclass(frozen=True)
class EncodeSummary:
    """What was done.

    Attributes:
        encoded: photographs that were encoded now.
        kept: that were on disk already.
        failed: why each of the others could not be read, by its file.
        left: photographs for which there was no room.
        bytes: that all encodings on disk take.
    """

    encoded: int
    kept: int
    failed: dict[str, str]
    left: int
    bytes: int


def encode_dataset(
    samples: Samples,
    *,
    preset: str | Preset = "ovsam-lite",
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    most_bytes: int = MOST_BYTES,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> EncodeSummary:
    """Encodes photographs into the cache folder, so that a first click on them is answered at once.

    `open_image` and the App's panel Segment read them there. A photograph that changes, and other
    weights, are encoded anew. Calling it again goes on where it stopped.

    Args:
        samples: the dataset, or a view of it.
        preset: the model.
        weights: a .safetensors file in place of the model's own.
        device: "auto", "cpu", "cuda", ...
        most_bytes: that all encodings on disk may take, some 14 MB each. What was used longest ago
            makes room; nothing of this dataset does.
        progress: goes through the photographs, to show how far it is.

    Returns:
        what was done.

    Raises:
        ValueError: these are no images; no such preset or device; `most_bytes` is not positive.
        FileNotFoundError: the weights are not on this machine.
        OSError: the cache folder cannot be written.
    """
    check_images(samples)
    if most_bytes < 1:
        raise ValueError(f"most_bytes is {most_bytes}, must be positive")
    network = load_shared_network(preset, device=device, weights=weights)
    files = EncodedFiles(encodings_directory(), network.predictor.weights_hash)
    paths = list(dict.fromkeys(samples.values("filepath")))
    encoded, failed, ours = 0, {}, set()
    left = 0
    for path in progress(paths):
        try:
            photograph = Photograph.of(path)
            if files.read(photograph.key) is not None:
                ours.add(files.path(photograph.key))
                continue
            if left:  # there is no room: what is on disk already is counted all the same
                left += 1
                continue
            written = files.write(photograph.key, network.encode(photograph))
        except ImageError as error:
            failed[path] = str(error)
            continue
        if files.make_room(most_bytes, kept={*ours, written}):
            ours.add(written)
            encoded += 1
        else:
            written.unlink()
            left += 1
    return EncodeSummary(encoded, len(ours) - encoded, failed, left, files.bytes)
