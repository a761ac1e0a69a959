"""Malformed files and forms: each is read or refused with a reason, and no label is lost.

    python benchmarks/fuzz.py [--cases 1000] [--seed 0] [--kind images]

Each case damages a sound file (bytes changed, cut, doubled; values of JSON replaced by odd ones)
and reads it as the library does. What is raised has to be an error that a person can read: a
ValueError, a TypeError or an OSError with a message. A case depends on its kind, the seed and its
number alone, so that a failure can be looked at again: --kind KIND --seed SEED --only NUMBER. The
kinds `operator_forms` and `imports` work on datasets of their own in FiftyOne's database.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.annotations import read_annotation_file  # noqa: E402
from ovsam_plugin.annotations.results import read_results  # noqa: E402
from ovsam_plugin.checkpoints.archive import open_checkpoint  # noqa: E402
from ovsam_plugin.images.reading import photo_size, read_image  # noqa: E402
from ovsam_plugin.vocabulary import Vocabulary  # noqa: E402
from ovsam_plugin.vocabulary.sources import load_vocabulary  # noqa: E402

Chance = random.Random
READABLE = (ValueError, TypeError, OSError)
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "\x00", "../../etc",
    "é" * 300, "1", [], [[]], {}, {"a": 1}, [None], [1, 2, 3], "\ud800", 2**53, -0.5,
    [[[1]]], "NaN",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A case that was neither read nor refused with a reason.

    Attributes:
        kind, number: which case it is.
        what: the error with its place.
    """

    kind: str
    number: int
    what: str


def images(chance: Chance, folder: Path) -> None:
    """A damaged photograph gives pixels or the reason why not."""
    format, ending = chance.choice(
        [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("TIFF", "tif"), ("GIF", "gif"),
         ("BMP", "bmp"), ("AVIF", "avif"), ("MPO", "jpg")]
    )  # fmt: skip
    noise = np.random.default_rng(chance.getrandbits(32)).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(noise).convert(chance.choice(["RGB", "L"]))
    exif = Image.Exif()
    exif[0x0112] = chance.randrange(0, 12)
    more = {} if format in ("GIF", "BMP") else {"exif": exif.tobytes()}
    picture.save(file, format, **more)
    path = folder / f"photo.{chance.choice([ending, ending, 'jpg', 'txt'])}"
    path.write_bytes(damaged(chance, file.getvalue()))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert photo_size(path) == pixels.shape[:2]


def annotations(chance: Chance, folder: Path) -> None:
    """Of a damaged annotation file, what is sound is read, and each of the rest says why not."""
    path = folder / "instances.json"
    path.write_bytes(damaged_json(chance, _coco(lvis=chance.random() < 0.3)))
    file = read_annotation_file(path, crowds=chance.random() < 0.5)
    sizes = {image.id: image.size for image in file.images}
    for annotation in file.annotations:
        size = sizes.get(annotation.image_id) if annotation.image_id is not None else None
        for read in (annotation.box, annotation.mask):
            _refused(read, size)
    assert len({category.name for category in file.categories}) == len(file.categories)


def results(chance: Chance, folder: Path) -> None:
    """The same of a detector's results."""
    path = folder / "results.json"
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 9], "score": 0.5},
        {"file_name": "a.png", "segmentation": {"size": [24, 32], "counts": "`2"}, "score": 1},
    ]
    path.write_bytes(damaged_json(chance, rows))
    for result in read_results(path):
        if result.error is None:
            _refused(result.box)
            _refused(result.mask, (24, 32))


def vocabularies(chance: Chance, folder: Path) -> None:
    """A damaged list of classes has distinct names, or is refused."""
    rows = [{"name": "cat", "synonyms": ["kitty"], "split": "base"}, {"name": "dog"}, "bus"]
    text = {
        "txt": b"cat\ndog\nfire hydrant|hydrant\n",
        "csv": b"name,synonyms,split,frequency\ncat,kitty,base,f\ndog,,novel,r\n",
        "json": json.dumps(rows).encode(),
    }
    ending = chance.choice(list(text))
    path = folder / f"classes.{ending}"
    if ending == "json" and chance.random() < 0.7:
        path.write_bytes(damaged_json(chance, rows))
    else:
        path.write_bytes(damaged(chance, text[ending]))
    found: Vocabulary = load_vocabulary(path)
    assert len(set(found.names)) == len(found) > 0
    assert all(name.strip() for name in found.names)


def checkpoints(chance: Chance, folder: Path) -> None:
    """A damaged checkpoint gives tensors of the shapes that it tells, or is refused."""
    state = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.ones(3).half()}
    if chance.random() < 0.3:
        content = save_safetensors(state)
    else:
        file = io.BytesIO()
        torch.save({"state_dict": state, "epoch": 3}, file)
        content = file.getvalue()
    path = folder / chance.choice(["model.pth", "model.safetensors", "model.pt"])
    path.write_bytes(damaged(chance, content))
    with open_checkpoint(path) as checkpoint:
        for name, told in checkpoint.tensors.items():
            assert tuple(checkpoint.read(name).shape) == tuple(told.shape)


def forms(chance: Chance, folder: Path) -> None:
    """A form filled in with anything says what is wrong with it."""
    from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest

    odd = (*ODD, "coco", "names", "file", "field", "cat, dog", str(folder))
    params = {key: chance.choice(odd) for key in ("vocabulary", "names", "file", "class_field")}
    request = VocabularyRequest.read({**params, "unknown": 1})
    request.check_read()
    spec = request.vocabulary_spec()
    if not (isinstance(spec, str) and spec.startswith("dataset:")):
        load_vocabulary(spec)


def operator_forms(chance: Chance, folder: Path) -> None:
    """See `fuzz_labels`, which needs a database."""
    from benchmarks import fuzz_labels

    fuzz_labels.operator_forms(chance, folder)


def imports(chance: Chance, folder: Path) -> None:
    """See `fuzz_labels`, which needs a database."""
    from benchmarks import fuzz_labels

    fuzz_labels.imports(chance, folder)


KINDS: dict[str, Callable[[Chance, Path], None]] = {
    each.__name__: each
    for each in (
        images, annotations, results, vocabularies, checkpoints, forms, operator_forms, imports
    )
}  # fmt: skip


def damaged(chance: Chance, content: bytes) -> bytes:
    """Bytes changed, cut, doubled, put in or left out, up to three times."""
    data = bytearray(content)
    for _ in range(chance.randrange(4)):
        if not data:
            break
        at, long = chance.randrange(len(data)), chance.randrange(1, 9)
        how = chance.randrange(6)
        if how == 0:
            del data[at:]
        elif how == 1:
            data[at : at + long] = chance.randbytes(long)
        elif how == 2:
            data[at:at] = chance.randbytes(long)
        elif how == 3:
            del data[at : at + long]
        elif how == 4:
            data += data[:at]
        else:
            data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


def damaged_json(chance: Chance, value: Any) -> bytes:
    """A file whose values are replaced here and there, and whose text is sometimes damaged too."""

    def walk(value: Any) -> Any:
        if chance.random() < 0.06:
            return chance.choice(ODD)
        if isinstance(value, dict):
            return {k: walk(v) for k, v in value.items() if chance.random() > 0.03}
        if isinstance(value, list):
            return [walk(v) for v in value for _ in range(chance.choice((1, 1, 1, 1, 2)))]
        return value

    text = json.dumps(walk(value)).encode("utf-8", "surrogatepass")
    return damaged(chance, text) if chance.random() < 0.2 else text


def _coco(lvis: bool) -> dict[str, Any]:
    images = [
        {"id": i, "file_name": f"{i}.png", "width": 32, "height": 24, "coco_url": f"x/{i}.png",
         "neg_category_ids": [2], "not_exhaustive_category_ids": []}
        for i in (1, 2)
    ]  # fmt: skip
    shapes: tuple[Any, ...] = (
        [[1, 2, 9, 2, 9, 11, 1, 11]],
        {"size": [24, 32], "counts": [100, 20, 648]},
        {"size": [24, 32], "counts": "T3d0"},
    )
    labels = [
        {"id": n, "image_id": 1 + n % 2, "category_id": 1 + n % 2, "bbox": [1, 2, 8, 9],
         "area": 72, "iscrowd": n % 2, "segmentation": shape}
        for n, shape in enumerate(shapes, start=1)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    if lvis:
        categories = [{**c, "synonyms": [c["name"]], "frequency": "f"} for c in categories]
    return {"images": images, "annotations": labels, "categories": categories}


def _refused(read: Callable[..., object], *arguments: object) -> None:
    try:
        read(*arguments)
    except ValueError as error:
        assert str(error), "a refusal without a reason"  # noqa: PT017


def failures(kind: str, numbers: range, seed: int, folder: Path) -> Iterator[Failure]:
    """The cases of a kind that were neither read nor refused with a reason."""
    for number in numbers:
        place = folder / f"{kind}-{number}"
        place.mkdir()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                KINDS[kind](Chance(f"{kind}/{seed}/{number}"), place)
        except READABLE as error:
            if not str(error).strip():
                yield Failure(kind, number, f"{type(error).__name__} without a reason")
        except Exception:
            yield Failure(kind, number, traceback.format_exc(limit=-4))


def main() -> None:
    """Prints how many cases of each kind there were, and those that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="of all kinds together")
    parser.add_argument("--kind", choices=list(KINDS), help="one kind alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case")
    arguments = parser.parse_args()
    kinds = [arguments.kind] if arguments.kind else list(KINDS)
    each = -(-arguments.cases // len(kinds))
    one = arguments.only
    numbers = range(each) if one is None else range(one, one + 1)
    failed = []
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where forms write whose paths are no paths
        for kind in kinds:
            found = list(failures(kind, numbers, arguments.seed, Path(folder)))
            print(f"{kind:14} {len(numbers):5} cases, {len(found)} failed")
            failed += found
        os.chdir(here)
    if module := sys.modules.get("benchmarks.fuzz_labels"):
        module.close()
    for failure in failed:
        print(f"\n{failure.kind} --only {failure.number}\n{failure.what}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
