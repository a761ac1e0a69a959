"""The folder that FiftyOne's App loads as the plugin, and where it has to lie for that."""

from __future__ import annotations

import contextlib
import os
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import fiftyone as fo

NAME = "@ovsam/curation"
_FOLDER = "fiftyone-ovsam"
_DEFINITION = "fiftyone.yml"


def plugin_folder() -> Path:
    """The plugin's own folder: the clone, or what the installed package brought.

    Raises:
        FileNotFoundError: the package was installed without it.
    """
    root = Path(__file__).resolve().parent.parent.parent
    # The clone, or beside the package as `pip install --target` has it, or as pip recorded it.
    places = [root, root / "share" / _FOLDER]
    with contextlib.suppress(PackageNotFoundError):
        for file in distribution("fiftyone-ovsam").files or ():
            if file.parts[-2:] == (_FOLDER, _DEFINITION):
                places.append(Path(str(file.locate())).parent)
    for place in places:
        if (place / _DEFINITION).is_file():
            return place.resolve()
    raise FileNotFoundError(
        "the App's plugin is not next to the package: install it with pip, or from a clone"
    )


def installed_in() -> Path | None:
    """Where FiftyOne finds the plugin now; None where it does not."""
    from fiftyone.plugins.core import list_plugins

    for plugin in list_plugins(enabled="all", shadowed="all"):
        if plugin.name == NAME:
            return Path(plugin.directory)
    return None


def install(plugins_dir: str | Path | None = None) -> Path:
    """Puts the plugin into FiftyOne's plugins folder, as a link where links can be made.

    A plugin that FiftyOne finds already, such as one that was downloaded, stays as it is.

    Args:
        plugins_dir: FiftyOne's own when not given.

    Returns:
        The folder that FiftyOne loads.

    Raises:
        FileExistsError: something else lies where the plugin would go.
        FileNotFoundError: the package was installed without it.
        ValueError: FiftyOne has no plugins folder.
    """
    chosen = plugins_dir or fo.config.plugins_dir
    if not chosen:
        raise ValueError("FiftyOne has no plugins folder: set FIFTYONE_PLUGINS_DIR to one")
    if plugins_dir is None and (there := installed_in()) is not None:
        return there
    source, target = plugin_folder(), Path(chosen).expanduser() / _FOLDER
    if target.is_symlink() and not target.exists():
        target.unlink()  # the clone that it led to is gone
    if target.exists():
        if target.resolve() == source or (target / _DEFINITION).is_file():
            return target
        raise FileExistsError(f"{target} exists and is not a plugin: move it away")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source, target_is_directory=True)
    except OSError:  # on Windows links need a right of their own
        parts = ("__init__.py", _DEFINITION, "manifest.json", "operators")
        target.mkdir()
        for part in parts:
            copy = shutil.copytree if (source / part).is_dir() else shutil.copy
            copy(source / part, target / part)
    return target


def open_app(dataset: fo.Dataset | None, port: int) -> fo.Session:
    """Opens the App with the plugin in it.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: as `install`.
    """
    install()
    os.environ.setdefault("FIFTYONE_PLUGINS_CACHE_ENABLED", "true")
    return fo.launch_app(dataset, port=port)
