"""The models that FiftyOne's zoo lists, and the folder that makes it list them on this machine.

Light to import: FiftyOne imports the door of every plugin and zoo source again and again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple


class Model(NamedTuple):
    """What is said of a preset where torch is not loaded.

    Attributes:
        description, licence: as the zoo has them.
        fetched: whether its weights are fetched, once their licence is accepted.
        min_objectness: as `Preset` has it.
    """

    description: str
    licence: str
    fetched: bool = True
    min_objectness: float = 0.5


MODELS = {
    "ovsam-lite": Model(
        "Open-Vocabulary SAM, small: masks and names, offline, on a CPU",
        "Apache-2.0",
        fetched=False,
        min_objectness=0.15,
    ),
    "ovsam-rn50x16-coco": Model(
        "Open-Vocabulary SAM on CLIP RN50x16, head trained on COCO's base classes",
        "S-Lab-1.0",
    ),
    "ovsam-rn50x16-lvis": Model(
        "Open-Vocabulary SAM on CLIP RN50x16, head trained on LVIS' base classes",
        "S-Lab-1.0",
    ),
    "ovsam-rn50x16-demo": Model(
        "Open-Vocabulary SAM on CLIP RN50x16, head of the authors' demo (LVIS base and V3Det)",
        "S-Lab-1.0",
    ),
}
"""Every preset that the zoo has."""

SAM_MODELS = {
    "sam-siglip2": Model(
        "Masks of segment_anything, names of SigLIP 2",
        "Apache-2.0",
        fetched=False,
    ),
    "sam-clip": Model(
        "Masks of segment_anything, names of OpenCLIP's ViT-B/32",
        "Apache-2.0",
        fetched=False,
    ),
}
"""Presets that draw with a checkpoint of segment_anything, which is given by its path: forms offer
them, and the zoo, which loads a model by its name alone, does not."""

TEXT_MODELS = {"ovsam-lite-text": "ovsam-lite", "ovsam-rn50x16-text": "ovsam-rn50x16-lvis"}
"""Models that read the words of a text search, and a preset whose text tower each has."""

ANY_TEXT_MODEL = "ovsam-openclip-text"
"""The same for the embeddings of an open_clip namer, which is given when it is loaded."""

SOURCE_NAME = "ovsam"
"""The manifest's name, which is also what FiftyOne expects its folder in the zoo to be called."""

_LISTING = "manifest.json"

# Where `install` may write; the second where a user has another source by the first's name.
_FOLDERS = (SOURCE_NAME, "fiftyone-ovsam")

# Begins every door that was ever written, whatever the module was called then.
_MARK = "Written by `ovsam_plugin.dataset.zoo"
_DOOR = '''"""{mark}_source.install`: leads FiftyOne's zoo to the library."""

import importlib.util
import sys

root = {root!r}
if root and importlib.util.find_spec("ovsam_plugin") is None:
    sys.path.append(root)

try:
    from ovsam_plugin.dataset.zoo import (
        download_model,
        load_model,
        parse_parameters,
        resolve_input,
    )
except ImportError as error:
    raise ImportError(
        "these models need the package fiftyone-ovsam, which is not installed in this "
        "environment: install it, or remove the folder " + __file__.rpartition("__init__")[0]
    ) from error
'''


def manifest(name: str = SOURCE_NAME, without: Iterable[str] = ()) -> dict[str, Any]:
    """What `manifest.json` says: the models as FiftyOne's zoo lists them.

    Args:
        name: the source's, which FiftyOne expects its folder to be called.
        without: models to leave out.
    """
    return {
        "name": name,
        "models": [
            {
                "base_name": model,
                "base_filename": f"{model}.json",
                "version": None,
                "description": description,
                "license": licence,
                "tags": tags,
                "requirements": {
                    "packages": ["torch", "torchvision"],
                    "cpu": {"support": True},
                    "gpu": {"support": True},
                },
                "date_added": "2026-01-01 00:00:00",
            }
            for model, (description, licence, tags) in _entries().items()
            if model not in without
        ],
    }


def _entries() -> dict[str, tuple[str, str, list[str]]]:
    """Description, licence and tags of every model."""
    found = {}
    for name, model in MODELS.items():
        tags = ["segmentation", "instances", "open-vocabulary", "zero-shot", "torch"]
        found[name] = (model.description, model.licence, tags)
    for name, preset in TEXT_MODELS.items():
        description = f"The text tower of {preset}, for searching its instances in words"
        found[name] = (description, MODELS[preset].licence, ["embeddings", "text", "torch"])
    description = "The text tower of an open_clip model, for searching what it named in words"
    found[ANY_TEXT_MODEL] = (description, "of the model", ["embeddings", "text", "torch"])
    return found


def only_reads(name: str) -> bool:
    """Whether a model is a text tower alone."""
    return name in TEXT_MODELS or name == ANY_TEXT_MODEL


def install(model_zoo_dir: str | Path | None = None) -> Path:
    """Makes `foz.load_zoo_model("ovsam-lite")` work on this machine, in every later session.

    FiftyOne finds models by the manifests below its model zoo folder: this writes one there, with
    a door that imports the library. To be called again after an upgrade. A source of models that
    is there already, registered or linked by the user, stays as it is and answers for its models.

    Args:
        model_zoo_dir: FiftyOne's own when not given.

    Returns:
        the folder that was written, or that of the source that has all the models.

    Raises:
        ValueError: the folders that this may write to are there already, and something else made
            them.
    """
    import fiftyone as fo

    zoo = Path(model_zoo_dir or fo.config.model_zoo_dir)
    others = _other_sources(zoo)
    for folder, models in others.items():
        if models >= _entries().keys():
            return folder
    for name in _FOLDERS:
        folder = zoo / name
        if _is_ours(folder) or not (folder.exists() or folder.is_symlink()):
            break
    else:
        taken = " and ".join(str(zoo / name) for name in _FOLDERS)
        raise ValueError(f"{taken} already exist and were not made by this command: remove one")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(_DOOR.format(mark=_MARK, root=_root()))
    said = manifest(name, without=set().union(*others.values()))
    (folder / _LISTING).write_text(json.dumps(said, indent=4) + "\n")
    return folder


def _is_ours(folder: Path) -> bool:
    """Whether `install` wrote it. Links lead to somebody's checkout, which is not written to."""
    files = (folder / "__init__.py", folder / _LISTING)
    if folder.is_symlink() or not files[0].is_file() or any(f.is_symlink() for f in files):
        return False
    return _MARK in files[0].read_text()


def reads_words(model: object) -> bool:
    """Whether it is the name of a model of ours that reads the words of a search."""
    return model == ANY_TEXT_MODEL or model in TEXT_MODELS


def offers(model: str) -> bool:
    """Whether FiftyOne's zoo lists a model of ours on this machine.

    FiftyOne itself reads some hundred models of its own to answer.

    Args:
        model: its name.
    """
    import fiftyone as fo

    zoo = Path(fo.config.model_zoo_dir)
    listings = [*map(Path, fo.config.model_zoo_manifest_paths or ()), *_listings(zoo)]
    return any(model in _models_of(listing) for listing in listings)


def _other_sources(zoo: Path) -> dict[Path, set[str]]:
    """By its folder, the models of each source in the zoo that `install` did not write."""
    folders = [listing.parent for listing in _listings(zoo)]
    found = {f: _models_of(f / _LISTING) for f in folders if not _is_ours(f)}
    return {folder: models for folder, models in found.items() if models}


def _listings(zoo: Path) -> Iterator[Path]:
    """The lists of models below a folder, where FiftyOne looks for them."""
    for folder, below, files in os.walk(zoo, followlinks=True):
        if _LISTING in files:
            below.clear()
            yield Path(folder, _LISTING)
        else:
            below[:] = [name for name in below if not name.startswith(".")]


def _models_of(listing: Path) -> set[str]:
    """The models of a list; none where FiftyOne cannot read it either."""
    try:
        return {model["base_name"] for model in json.loads(listing.read_text())["models"]}
    except (OSError, ValueError, LookupError, TypeError):
        return set()


def _root() -> str | None:
    """Where the library lies, if only this process knows: a clone that is used as a plugin."""
    try:
        distribution("fiftyone-ovsam")
    except PackageNotFoundError:
        return str(Path(__file__).resolve().parents[2])
    return None
