"""How large the photographs of samples are: as they are labelled, whatever FiftyOne says.

FiftyOne's `metadata` gives a turned PNG, WebP, AVIF or multi-picture JPEG its sides as stored,
while the App's browser shows it turned, and masks and boxes lie on what is shown.
"""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo

from ovsam_plugin.annotations import AnnotatedImage
from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.images.reading import ImageError, photo_size

UNSIZED = "neither the image nor its metadata gives a size"
"""What is said of a photograph where `size_of` gives none."""
_EXCHANGED = ": are its sizes those of the picture before its EXIF orientation is applied?"
_FEW = 200  # images; below this, starting processes to read their headers costs more than it saves


def size_of(sample: fo.Sample) -> tuple[int, int] | None:
    """(height, width) in pixels of a sample's photograph, EXIF orientation applied.

    Read from its file; where that is not there, from the metadata; None where both say nothing.
    """
    try:
        return photo_size(sample.filepath)
    except ImageError:
        metadata = sample.metadata
    if metadata is None or not metadata.width or not metadata.height:
        return None
    return metadata.height, metadata.width


def measure(samples: Samples) -> dict[str, tuple[int, int] | None]:
    """The size of each sample's photograph by the sample's id, as `size_of` gives it.

    Samples that have no metadata get it, of that size; metadata that is there is left alone.
    """
    bare = set(samples.exists("metadata.width", False).values("id"))
    if bare:
        workers = 1 if len(bare) < _FEW else None
        samples.compute_metadata(num_workers=workers, progress=False)
    sizes: dict[str, tuple[int, int] | None] = {}
    turned: dict[str, fo.ImageMetadata] = {}
    for sample in samples.select_fields():
        size = sizes[sample.id] = size_of(sample)
        metadata = sample.metadata
        if size is None or sample.id not in bare or metadata is None:
            continue
        if (metadata.height, metadata.width) != size:
            turned[sample.id] = sized(metadata, size)
    if turned:
        samples.set_values("metadata", turned, key_field="id")
    return sizes


def other_size(image: AnnotatedImage, size: tuple[int, int], path: Path) -> str | None:
    """Why what an annotation file says of an image would lie elsewhere on its photograph; None
    where it would not.

    Args:
        image: of the file.
        size: (height, width) of the photograph.
        path: the file.
    """
    said = image.size
    if said is None or said == size:
        return None
    return f"{image.file_name} is {size[1]} x {size[0]}, {path.name} says {said[1]} x {said[0]}" + (
        _EXCHANGED if said == size[::-1] else ""
    )


def sized(metadata: fo.ImageMetadata, size: tuple[int, int]) -> fo.ImageMetadata:
    """The same metadata, of (height, width)."""
    metadata = metadata.copy()
    metadata.height, metadata.width = size
    return metadata
