"""One database, one zoo folder and one plugin folder for the whole session, none of them yours.

FiftyOne reads its configuration when it is imported, so the environment is set here, before any
test module is.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(tempfile.mkdtemp(prefix="ovsam-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

for folder in ("db", "zoo-models", "zoo-datasets", "datasets", "plugins", "cache"):
    (HOME / folder).mkdir()
# The repository is itself a plugin and a zoo source: both are found through these links. The zoo's
# notes of what it downloaded go into its folder, which is therefore one of its own.
(HOME / "plugins" / "ovsam").symlink_to(ROOT)
(HOME / "zoo-models" / "ovsam").mkdir()
for name in ("__init__.py", "manifest.json"):
    (HOME / "zoo-models" / "ovsam" / name).symlink_to(ROOT / name)


def start_database() -> str:
    """The address of a database of the session's own.

    FiftyOne by itself would join any mongod that another FiftyOne on this machine has started, such
    as that of your App, whatever FIFTYONE_DATABASE_DIR says.
    """
    fiftyone = find_spec("fiftyone")
    assert fiftyone is not None
    assert fiftyone.origin is not None
    mongod = Path(fiftyone.origin).parent / "db" / "bin" / "mongod"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [mongod, "--dbpath", HOME / "db", "--logpath", HOME / "mongo.log", "--port", port]
    server = subprocess.Popen([*map(str, command), "--nounixsocket"], stdout=subprocess.DEVNULL)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    return f"mongodb://127.0.0.1:{port}"


os.environ.pop("FIFTYONE_PRIVATE_DATABASE_PORT", None)
os.environ.update(
    FIFTYONE_CONFIG_PATH=str(HOME / "config.json"),
    FIFTYONE_DATABASE_URI=start_database(),
    FIFTYONE_DATABASE_VALIDATION="false",
    FIFTYONE_DATASET_ZOO_DIR=str(HOME / "zoo-datasets"),
    FIFTYONE_DEFAULT_DATASET_DIR=str(HOME / "datasets"),
    FIFTYONE_DO_NOT_TRACK="1",
    FIFTYONE_MODEL_ZOO_DIR=str(HOME / "zoo-models"),
    FIFTYONE_PLUGINS_DIR=str(HOME / "plugins"),
    FIFTYONE_SHOW_PROGRESS_BARS="false",
    HF_HUB_OFFLINE="1",
    OVSAM_CACHE_DIR=str(HOME / "cache"),
)
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "astronaut.png")
"""A cat, a cup and a woman, of those that scikit-image's wheel carries."""


@pytest.fixture(scope="session")
def photographs() -> dict[str, Path]:
    """Real photographs by their file names; read only."""
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image, which carries the photographs, is not installed"
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"
    return {name: folder / name for name in PHOTOGRAPHS}


@pytest.fixture
def images(tmp_path: Path, photographs: dict[str, Path]) -> list[Path]:
    """The photographs in a folder of the test's own, in the order of PHOTOGRAPHS."""
    folder = tmp_path / "images"
    folder.mkdir()
    return [Path(shutil.copy(photographs[name], folder / name)) for name in PHOTOGRAPHS]


@pytest.fixture
def dataset(images: list[Path]) -> Iterator[object]:
    """A dataset of the photographs, gone after the test."""
    import fiftyone as fo

    made = fo.Dataset()
    made.add_images([str(path) for path in images])
    yield made
    if not made.deleted:
        made.delete()


@pytest.fixture(scope="session")
def model() -> object:
    """`ovsam-lite` with a small vocabulary and a coarse lattice, as the zoo loads it."""
    import fiftyone.zoo as foz

    return foz.load_zoo_model(
        "ovsam-lite", vocabulary="cat, cup, person, spoon", device="cpu", points_per_side=6
    )


@pytest.fixture(scope="session")
def labelled_once(photographs: dict[str, Path]) -> Iterator[object]:
    """The photographs with three instances each in the field `ovsam`, asked for by boxes."""
    import fiftyone as fo

    from ovsam_plugin import label_dataset

    boxes = ([0.1, 0.1, 0.6, 0.8], [0.3, 0.2, 0.5, 0.5], [0.05, 0.5, 0.4, 0.4])
    made = fo.Dataset()
    made.add_images([str(path) for path in photographs.values()])
    for sample in made:
        asks = [fo.Detection(label="thing", bounding_box=box) for box in boxes]
        sample["asks"] = fo.Detections(detections=asks)
        sample.save()
    settings = {"device": "cpu", "workers": 0, "progress": False}
    label_dataset(made, vocabulary="cat, cup, person, spoon", box_field="asks", **settings)
    yield made
    made.delete()


@pytest.fixture
def labelled(labelled_once: object) -> Iterator[object]:
    """A clone of it, with all its runs."""
    clone = labelled_once.clone()  # type: ignore[attr-defined]
    yield clone
    if not clone.deleted:
        clone.delete()
