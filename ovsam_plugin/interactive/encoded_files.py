"""Encodings on disk: photographs that were encoded beforehand, within a bound of disk space.

One file for each photograph and network. It holds nothing but numbers and text (safetensors, no
pickle), features as halves: what is answered from it differs from a fresh encoding by rounding.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovsam_plugin.files import draft_of
from ovsam_plugin.images.frame import Frame
from ovsam_plugin.network.objectness import Proposals
from ovsam_plugin.network.ovsam import Features
from ovsam_plugin.network.region_masks import RegionFeatures
from ovsam_plugin.prediction.predictor import Encoding
from ovsam_plugin.vocabulary.cache import ANOTHER_FOLDER

logger = logging.getLogger(__name__)

# Of ovsam-lite some 1,600 photographs.
MOST_BYTES = 20 << 30
# Counts up when what is written changes.
_FORMAT = 1
_LARGEST_HALF = torch.finfo(torch.float16).max


class EncodedFiles:
    """The encodings of one network in a folder; safe for several processes.

    Args:
        folder: where they lie; made when first written to.
        weights_hash: of the network. What others have encoded is never read.
    """

    def __init__(self, folder: Path, weights_hash: str) -> None:
        self._folder = folder
        self._weights_hash = weights_hash

    @property
    def bytes(self) -> int:
        """What all files of the folder take, those of other networks too."""
        return sum(size for _, size, _ in self._files())

    def read(self, key: object, device: torch.device | str = "cpu") -> Encoding | None:
        """The encoding of a photograph; None where there is none, or none that is whole.

        Args:
            key: as `shared_network.Photograph` has it: a file's path, time and size.
            device: where its features go.
        """
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                told = file.metadata() or {}
            if told != self._told(key, tensors, told.get("size", "[]")):
                raise ValueError("it was damaged, or made from something else")
            height, width = json.loads(told["size"])
            encoding = _assembled(tensors, (height, width), device)
            path.touch()  # it counts as used now
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            logger.warning("the encoding %s cannot be used and is made again: %s", path, error)
            return None
        return encoding

    def write(self, key: object, encoding: Encoding) -> Path:
        """Keeps the encoding of a photograph.

        Raises:
            ValueError: it has tiles, or numbers that halves cannot hold.
            OSError: it cannot be written.
        """
        tensors, path = _taken_apart(encoding), self.path(key)
        size = json.dumps(list(encoding.frame.original_size))
        try:
            with draft_of(path) as draft:
                save_file(tensors, draft, metadata=self._told(key, tensors, size))
        except OSError as error:
            raise OSError(
                f"an encoding cannot be kept ({error}): make room, or {ANOTHER_FOLDER}"
            ) from error
        return path

    def make_room(self, most_bytes: int, kept: Collection[Path] = ()) -> bool:
        """Removes what was used longest ago until the folder takes no more than this.

        Args:
            most_bytes: that all files may take.
            kept: files that stay.

        Returns:
            whether there is room: False where what stays takes more.
        """
        files = sorted(self._files())
        taken = sum(size for _, size, _ in files)
        for _, size, path in files:
            if taken <= most_bytes:
                break
            if path not in kept:
                path.unlink(missing_ok=True)
                taken -= size
        return taken <= most_bytes

    def path(self, key: object) -> Path:
        """Where a photograph's encoding lies, if it is there."""
        name = hashlib.sha256(f"{self._weights_hash} {key}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.safetensors"

    def _told(self, key: object, tensors: Mapping[str, Tensor], size: str) -> dict[str, str]:
        """What stands in a file beside its numbers, and has to be so when it is read."""
        checksum = 0
        for name in sorted(tensors):
            numbers = tensors[name].reshape(-1).view(torch.uint8).numpy()
            checksum = zlib.crc32(numbers.data, zlib.crc32(name.encode(), checksum))
        told = {"format": str(_FORMAT), "weights": self._weights_hash, "photograph": str(key)}
        return {**told, "size": size, "crc32": str(checksum)}

    def _files(self) -> list[tuple[float, int, Path]]:
        """(time of last use, bytes, path) of each file."""
        found = []
        for path in self._folder.glob("*.safetensors"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # removed meanwhile
                continue
            found.append((stat.st_mtime, stat.st_size, path))
        return found


def _taken_apart(encoding: Encoding) -> dict[str, Tensor]:
    """By name, what `_assembled` needs."""
    if encoding.tiles:
        raise ValueError("an encoding with tiles is not kept on disk")
    features, regions = encoding.features, encoding.features.regions
    parts = {"image": features.image, "last": features.last}
    parts |= {f"pyramid.{i}": level for i, level in enumerate(features.pyramid)}
    if regions is not None:
        parts["regions.image"] = regions.image
        parts |= {f"regions.levels.{i}": level for i, level in enumerate(regions.levels)}
        parts |= {f"regions.details.{i}": level for i, level in enumerate(regions.details)}
    tensors = {name: part.half() for name, part in parts.items()}
    if not all(bool(part.isfinite().all()) for part in tensors.values()):
        raise ValueError(f"its features are not all within {_LARGEST_HALF:.0f}")
    for name in ("proposals", "all_proposals"):
        proposals: Proposals | None = getattr(encoding, name)
        if proposals is not None:
            tensors |= {f"{name}.logits": proposals.logits, f"{name}.boxes": proposals.boxes}
    tensors["pixels"] = torch.from_numpy(encoding.frame.pixels)
    return {name: part.cpu().contiguous() for name, part in tensors.items()}


def _assembled(
    tensors: Mapping[str, Tensor], size: tuple[int, int], device: torch.device | str
) -> Encoding:
    """The encoding of a photograph of (height, width). Raises KeyError where a part is missing."""

    def part(name: str) -> Tensor:
        return tensors[name].to(device).float()

    def maps(name: str) -> Tensor:
        # As the network gives them.
        return part(name).contiguous(memory_format=torch.channels_last)

    def levels(name: str) -> list[Tensor]:
        count = sum(key.startswith(f"{name}.") for key in tensors)
        return [maps(f"{name}.{i}") for i in range(count)]

    def proposals(name: str) -> Proposals | None:
        if f"{name}.logits" not in tensors:
            return None
        return Proposals(part(f"{name}.logits"), part(f"{name}.boxes"))

    regions = None
    if "regions.image" in tensors:
        regions = RegionFeatures(
            maps("regions.image"), levels("regions.levels"), levels("regions.details")
        )
    return Encoding(
        Features(maps("image"), levels("pyramid"), maps("last"), regions),
        Frame(tensors["pixels"].numpy(), size),
        proposals=proposals("proposals"),
        all_proposals=proposals("all_proposals"),
    )
