"""What a run of this package needs from its machine, looked at one by one, each with its mend."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

State: TypeAlias = Literal["good", "doubtful", "bad"]

# Free space under which a run of some size ends in a full disk, in bytes.
LITTLE_SPACE = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is, in a word or two.
        state: "doubtful" where something asked for later may fail, "bad" where labelling does.
        found: what was seen.
        mend: what to do; empty where nothing is.
    """

    subject: str
    state: State
    found: str
    mend: str = ""


def examine(debug: bool = False) -> Iterator[Finding]:
    """Looks at everything, the cheap things first; a look that fails is itself a finding.

    Args:
        debug: raise what a look fails with.
    """
    for subject, look in _LOOKS.items():
        try:
            yield from look()
        except Exception as error:  # whatever is broken, the others are still looked at
            if debug:
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            yield Finding(subject, "bad", reason, "`ovsam doctor --debug` shows where")


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    old = sys.version_info < (3, 10)
    yield Finding(
        "Python", "bad" if old else "good", version, "Python 3.10 or newer is needed" * old
    )


def _torch() -> Iterator[Finding]:
    import torch

    yield Finding("torch", "good", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("device", "good", f"cuda: {', '.join(names)}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "good", "mps")
    elif torch.version.cuda and shutil.which("nvidia-smi"):
        yield Finding(
            "device",
            "doubtful",
            f"cpu, though there is a GPU: torch is built for CUDA {torch.version.cuda}",
            "update the GPU's driver, or install the torch that is built for it",
        )
    else:
        yield Finding("device", "good", "cpu")
    from ovsam_plugin.hardware.device import pick_device
    from ovsam_plugin.hardware.precision import pick_precision

    yield Finding("precision", "good", f"auto is {pick_precision('auto', pick_device('auto'))}")


def _database() -> Iterator[Finding]:
    import fiftyone as fo

    from ovsam_plugin.dataset.database import NoDatabaseError, require_database
    from ovsam_plugin.dataset.internals import client

    try:
        require_database()
    except NoDatabaseError as error:
        yield Finding("database", "bad", "FiftyOne cannot reach MongoDB", str(error))
        return
    host, port = client().address or ("?", 0)
    whose = "FIFTYONE_DATABASE_URI" if fo.config.database_uri else "started by FiftyOne"
    version = client().server_info()["version"]
    count = len(fo.list_datasets())
    found = f"MongoDB {version} at {host}:{port} ({whose}), {count} datasets"
    yield Finding("database", "good", found)
    if not fo.config.database_uri:
        yield from _space("database's disk", Path(fo.config.database_dir))


def _cache() -> Iterator[Finding]:
    from ovsam_plugin.vocabulary.cache import ANOTHER_FOLDER, cache_directory

    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        yield Finding(
            "cache",
            "doubtful",
            f"{folder} cannot be written: embeddings of words are computed each time",
            ANOTHER_FOLDER,
        )
        return
    yield from _space("cache", folder)


def _space(subject: str, folder: Path) -> Iterator[Finding]:
    there = next((p for p in (folder, *folder.parents) if p.exists()), None)
    if there is None:
        return
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 1024**3:.0f} GB free"
    if free < LITTLE_SPACE:
        yield Finding(subject, "doubtful", found, "make room before you label many photographs")
    else:
        yield Finding(subject, "good", found)


def _weights() -> Iterator[Finding]:
    from ovsam_plugin.checkpoints import store
    from ovsam_plugin.checkpoints.preset_weights import load_network
    from ovsam_plugin.presets import PRESETS

    for preset in PRESETS.values():
        if preset.weights_file is not None:
            _, digest = load_network(preset)
            yield Finding(preset.name, "good", f"loads, sha256 {digest[:12]}")
        elif preset.release is not None:
            path = store.model_path(preset)
            if path.is_file():
                yield Finding(preset.name, "good", str(path))
            else:
                mend = f"`ovsam weights fetch {preset.name}`, if you want it"
                yield Finding(preset.name, "good", "not fetched", mend)


def _zoo() -> Iterator[Finding]:
    import fiftyone.zoo.models as fozm

    if "ovsam-lite" in fozm.list_zoo_models():
        yield Finding("model zoo", "good", "knows ovsam-lite")
    else:
        found = 'foz.load_zoo_model("ovsam-lite") is not known'
        yield Finding("model zoo", "doubtful", found, "`ovsam zoo`")


def _plugin() -> Iterator[Finding]:
    from fiftyone.operators.registry import OperatorRegistry

    from ovsam_plugin.app import plugin_folder

    where = plugin_folder.installed_in()
    if where is None:
        found = "FiftyOne's App does not have the plugin"
        yield Finding("App", "doubtful", found, "`ovsam app install`")
        return
    registry = OperatorRegistry()
    own = [o for o in registry.list_operators() if o.plugin_name == plugin_folder.NAME]
    if own:
        yield Finding("App", "good", f"{len(own)} operators and panels from {where}")
    else:
        found = f"the plugin in {where} has no operator: it failed to load, or is turned off"
        mend = f"`fiftyone plugins enable {plugin_folder.NAME}`; see the errors below"
        yield Finding("App", "bad", found, mend)
    for error in registry.list_errors():
        said = error.strip().splitlines()
        ours = plugin_folder.NAME in error or str(where) in error
        mend = "" if ours else "another plugin's; it does no harm here"
        yield Finding("plugin error", "bad" if ours else "doubtful", said[-1], mend)


def _delegated() -> Iterator[Finding]:
    import fiftyone as fo
    from fiftyone.operators.delegated import DelegatedOperationService
    from fiftyone.operators.executor import ExecutionRunState

    if not fo.config.allow_legacy_orchestrators:
        yield Finding(
            "delegated runs",
            "good",
            "off: the App runs operators itself",
            "for runs that outlive the App, start it with FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS=true "
            "and `fiftyone delegated launch` beside it",
        )
        return
    service = DelegatedOperationService()
    waiting = len(service.list_operations(run_state=ExecutionRunState.QUEUED))
    running = len(service.list_operations(run_state=ExecutionRunState.RUNNING))
    found = f"{waiting} waiting, {running} running"
    if waiting and not running:
        yield Finding("delegated runs", "doubtful", found, "`fiftyone delegated launch` runs them")
    else:
        yield Finding("delegated runs", "good", found)


_LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "Python": _python,
    "torch": _torch,
    "cache": _cache,
    "weights": _weights,
    "database": _database,
    "model zoo": _zoo,
    "App": _plugin,
    "delegated runs": _delegated,
}
