"""The folder that a dataset's photographs are in, from which files name them."""

from __future__ import annotations

import os
from pathlib import Path

import fiftyone as fo

from ovsam_plugin.dataset.internals import is_generated
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset

_KEPT = "images"  # where `import_images` keeps its folder in a dataset's info


def image_folder(samples: Samples) -> Path:
    """The folder that names of photographs are relative to.

    It is the whole dataset's, whichever of its samples are given: a name must not mean another
    photograph once fewer are exported.

    Args:
        samples: the dataset, or a view of it; of frames or patches, the photographs that it made.

    Returns:
        The folder that the dataset was made from, where that is known and holds all photographs;
        else the deepest one that does.
    """
    dataset = root_dataset(samples)
    images = samples if is_generated(samples) else all_images(dataset)
    folders = {str(Path(path).parent) for path in images.values("filepath")}
    common = Path(os.path.commonpath(folders or {"/"}))
    kept = kept_folder(dataset)
    return common if kept is None or not common.is_relative_to(kept) else kept


def kept_folder(dataset: fo.Dataset) -> Path | None:
    """The folder that `import_images` made a dataset from; None of another dataset."""
    kept = dataset.info.get(_KEPT)
    return Path(kept) if isinstance(kept, str) else None
