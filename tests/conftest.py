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
from typing import Any

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


@pytest.fixture(params=["jpg", "png", "webp", "avif", "tif", "MPO"])
def turned(request: pytest.FixtureRequest, photographs: dict[str, Path], tmp_path: Path) -> Path:
    """A photograph that is stored 451 x 300 and shown 300 x 451, in every kind of file."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photographs["chelsea.png"]) as image:
        stored = image.convert("RGB")
    if request.param == "MPO":
        path = tmp_path / "phone.jpg"
        small = stored.resize((45, 30))
        stored.save(path, "MPO", save_all=True, append_images=[small], exif=exif.tobytes())
    else:
        path = tmp_path / f"phone.{request.param}"
        stored.save(path, exif=exif)
    return path


@pytest.fixture
def dataset(images: list[Path]) -> Iterator[object]:
    """A dataset of the photographs, gone after the test."""
    import fiftyone as fo

    made = fo.Dataset()
    made.add_images([str(path) for path in images])
    yield made
    if not made.deleted:
        made.delete()


@pytest.fixture
def boxed(dataset: Any) -> Any:
    """The photographs, each with one box that asks: quicker than everything."""
    import fiftyone as fo

    for sample in dataset:
        box = fo.Detection(label="thing", bounding_box=[0.2, 0.2, 0.6, 0.6])
        sample["asks"] = fo.Detections(detections=[box])
        sample.save()
    return dataset


@pytest.fixture(scope="session")
def model() -> object:
    """`ovsam-lite` with a small vocabulary and a coarse lattice, as the zoo loads it."""
    import fiftyone.zoo as foz

    return foz.load_zoo_model(
        "ovsam-lite", vocabulary="cat, cup, person, spoon", device="cpu", points_per_side=6
    )


@pytest.fixture(scope="session")
def named_once(photographs: dict[str, Path]) -> Iterator[object]:
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
def named(named_once: object) -> Iterator[object]:
    """A clone of it, with all its runs."""
    clone = named_once.clone()  # type: ignore[attr-defined]
    yield clone
    if not clone.deleted:
        clone.delete()


# What `labelled` holds: image, name, confidence, margin, head and CLIP scores, stability, and
# (x1, y1, x2, y2) in pixels.
REVIEWED = (
    (0, "cat", 0.9, 0.8, 0.9, 0.9, 0.7, (40, 20, 140, 120)),
    (0, "dog", 0.3, 0.1, 0.2, 0.8, 0.9, (150, 60, 250, 110)),
    (0, "cup", 0.5, 0.05, 0.6, 0.5, 0.99, (260, 200, 300, 280)),
    (1, "cup", 0.7, 0.6, 0.1, 0.9, 0.8, (60, 60, 220, 260)),
    (1, "spoon", 0.2, 0.15, 0.35, 0.3, 0.6, (300, 100, 380, 180)),
    (2, "person", 0.6, 0.3, 0.7, 0.55, 0.5, (100, 10, 300, 400)),
)


@pytest.fixture
def labelled(dataset: Any) -> Any:
    """The photographs with REVIEWED in `ovsam`, and on the last an instance without a mask."""
    import fiftyone as fo

    from ovsam_plugin.curation.attributes import declare
    from ovsam_plugin.dataset.fields import declare_fields

    dataset.compute_metadata(num_workers=1, progress=False)
    declare_fields(dataset, "ovsam")
    declare(dataset, "ovsam")
    for index, sample in enumerate(dataset.iter_samples(autosave=True)):
        size = sample.metadata.height, sample.metadata.width
        made = [_detection(*row[1:], size) for row in REVIEWED if row[0] == index]
        if index == 2:
            made.append(fo.Detection(label=None, bounding_box=[0, 0, 0.1, 0.1], confidence=0.0))
        sample["ovsam"] = fo.Detections(detections=made)
    return dataset


@pytest.fixture
def two_slices(labelled: Any) -> Iterator[Any]:
    """A group of the first two photographs of `labelled`; the slice "left" is the active one."""
    import fiftyone as fo

    from ovsam_plugin.curation.attributes import declare
    from ovsam_plugin.dataset import runs
    from ovsam_plugin.dataset.fields import declare_fields
    from ovsam_plugin.vocabulary import load_vocabulary
    from tests.curation.run_by_hand import settings

    made = fo.Dataset()
    made.add_group_field("group", default="left")
    group = fo.Group()
    samples = [
        fo.Sample(filepath=one.filepath, group=group.element(name), ovsam=one["ovsam"].copy())
        for name, one in zip(("left", "right"), labelled)
    ]
    made.add_samples(samples, progress=False)
    declare_fields(made, "ovsam")
    declare(made, "ovsam")
    runs.register(made, "ovsam", settings(), load_vocabulary(["cat", "cup"]))
    yield made
    made.delete()


@pytest.fixture
def ids(labelled: Any) -> dict[str, str]:
    """Label ids of `labelled` by class, the second cup as `cup2`, what has no name as `nothing`."""
    found: dict[str, str] = {}
    for sample in labelled:
        for label in sample["ovsam"].detections:
            name = label.label or "nothing"
            found[f"{name}2" if name in found else name] = label.id
    return found


def _detection(
    name: str,
    confidence: float,
    margin: float,
    head: float,
    clip: float,
    stability: float,
    xyxy: tuple[int, int, int, int],
    size: tuple[int, int],
) -> Any:
    import fiftyone as fo
    import numpy as np

    from ovsam_plugin.dataset.fields import relative_box

    x1, y1, x2, y2 = xyxy
    rows, columns = np.mgrid[: y2 - y1, : x2 - x1]
    # An ellipse: a mask that is neither empty nor its whole box.
    mask = (2 * rows / (y2 - y1) - 1) ** 2 + (2 * columns / (x2 - x1) - 1) ** 2 <= 1
    return fo.Detection(
        label=name,
        bounding_box=relative_box(xyxy, size),
        mask=mask,
        confidence=confidence,
        margin=margin,
        head_score=head,
        clip_score=clip,
        stability=stability,
        top_labels=[name, "lamp", "book", "boat", "tree"],
        top_scores=[confidence, confidence - margin, 0.01, 0.005, 0.001],
    )
