"""The photographs of a FiftyOne dataset by its name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import fiftyone as fo

from ovsam_plugin.dataset.database import require_database
from ovsam_plugin.dataset.importing import import_images
from ovsam_plugin.dataset.internals import root_of
from ovsam_plugin.dataset.targets import Samples, all_images


def opened(target: str) -> fo.Dataset:
    """A dataset by its name, or that of a folder of images, which is made where there is none.

    Raises:
        ValueError: there is neither, or no image in the folder.
        NoDatabaseError: FiftyOne has no database.
    """
    folder = Path(target).expanduser()
    if folder.is_dir():
        require_database()
        return import_images(folder)
    return root_of(load_images(target))


def load_images(name: str) -> Samples:
    """The dataset of that name; of a grouped one, all image slices.

    Raises:
        ValueError: there is none; the message lists near ones.
        NoDatabaseError: FiftyOne has no database.
    """
    return all_images(load_dataset(name))


def load_dataset(name: str) -> fo.Dataset:
    """The dataset of that name.

    Raises:
        ValueError: there is none; the message lists near ones.
        NoDatabaseError: FiftyOne has no database.
    """
    require_database()
    known = fo.list_datasets()
    if name in known:
        return fo.load_dataset(name)
    near = get_close_matches(name, known, n=3) or known[:5]
    hint = f"there are {', '.join(map(repr, near))}" if near else "there is none yet"
    raise ValueError(f"there is no dataset {name!r}; {hint}")
