"""One name for a photograph, and how it is found."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.annotations import read_annotation_file
from ovsam_plugin.annotations.photographs import (
    PathFinder,
    canonical_name,
    find_in,
    find_photograph,
    written_name,
)

URL = "http://images.cocodataset.org/train2017/000000391895.jpg"


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"file_name": "a.jpg"}, "a.jpg"),
        ({"file_name": "a.jpg", "coco_url": URL}, "a.jpg"),
        ({"coco_url": URL}, "train2017/000000391895.jpg"),
        ({"file_name": None, "coco_url": URL}, "train2017/000000391895.jpg"),
        ({"file_name": " ", "coco_url": URL}, "train2017/000000391895.jpg"),
        ({"coco_url": "http://x/a.jpg?size=2"}, "a.jpg"),
        ({"file_name": "s3://bucket/im/my%20cat.jpg"}, "im/my cat.jpg"),
        ({"file_name": "im\\a.jpg"}, "im/a.jpg"),
        ({"file_name": "C:\\data\\im\\a.jpg"}, "C:/data/im/a.jpg"),
        ({"file_name": 144}, "144"),
        ({"file_name": "caf\udce9.jpg"}, "caf%E9.jpg"),
        ({}, None),
        ({"file_name": "/"}, None),
        ({"file_name": ["a.jpg"]}, None),
        ({"coco_url": "http://x/"}, None),
    ],
)
def test_a_record_gives_its_photograph_one_name(record: dict[str, object], name: object) -> None:
    assert written_name(record) == name


@pytest.mark.parametrize(
    "name",
    [
        "000000391895.jpg", "train2017/000000391895.jpg", "train2017\\000000391895.jpg",
        "C:\\coco\\000000391895.jpg", "/data/000000391895.JPG", "./000000391895.jpg", URL,
    ],
)  # fmt: skip
def test_the_canonical_name_has_no_folders(name: str) -> None:
    assert canonical_name(name) == "000000391895.jpg"


def test_unicode_forms_of_a_name_are_one() -> None:
    assert canonical_name("cafe\u0301.jpg") == canonical_name("caf\u00e9.jpg") == "caf\u00e9.jpg"
    with pytest.raises(ValueError, match="cannot be called"):
        canonical_name("/")


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        ("a.jpg", "a.jpg", True),
        ("a.jpg", "im\\a.jpg", True),
        ("a.jpg", "C:\\Users\\me\\im\\a.jpg", True),
        ("a.jpg", "\\\\server\\share\\a.jpg", True),
        ("a.jpg", "../im/./a.jpg", True),
        ("a.jpg", URL.replace("000000391895", "a"), True),
        ("a.JPG", "a.jpg", True),
        ("IMG_1.jpeg", "img_1.JPEG", True),
        ("a.jpg", "a.png", True),
        ("000123.jpg", "000123", True),
        ("000123", "000123", True),
        ("a.b.c.jpg", "a.b.c", True),
        ("sub/a.jpg", "sub/a.jpg", True),
        ("sub/a.jpg", "sub\\A.JPG", True),
        ("sub/a.jpg", "a.jpg", True),
        ("caf\u00e9.jpg", "cafe\u0301.jpg", True),
        ("cafe\u0301.jpg", "caf\u00e9.jpg", True),
        ("cafe\u0301.jpg", "CAF\u00c9.png", True),
        ("im\\a.jpg", "im/a.jpg", True),
        ("my cat.jpg", "my%20cat.jpg", True),
        ("my%20cat.jpg", "my%20cat.jpg", True),
        ("caf\u00e9.jpg", "im/caf%C3%A9.JPG", True),
        ("sub/a.jpg", "sub%2Fa.jpg", True),
        ("50%.jpg", "50%.jpg", True),
        ("50.jpg", "50%.jpg", False),
        ("val/a.jpg", "train/a.jpg", False),
        ("a.jpg", "ba.jpg", False),
        ("clip.jpg", "clip.mp4", False),
        ("a.jpg", "a.b.jpg", False),
    ],
)
def test_a_photograph_is_found_as_tools_write_its_name(
    tmp_path: Path, there: str, asked: str, found: bool
) -> None:
    path = str(made(tmp_path / "im", there) / there)
    assert find_in(tmp_path / "im", [asked])[asked] == ((path,) if found else ())
    if Path(there).suffix:
        assert PathFinder([path, str(tmp_path / "im" / "z.jpg")]).find([asked])[asked] == (
            (path,) if found else ()
        )


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "shift_jis"])
def test_a_name_that_the_file_has_in_another_encoding_is_found(
    tmp_path: Path, encoding: str
) -> None:
    name = "\u5199\u771f.jpg" if encoding == "shift_jis" else "caf\u00e9.jpg"
    folder = made(tmp_path / "im", name, "other.jpg")
    written = tmp_path / "truth.json"
    content = {"images": [{"id": 1, "file_name": name}], "annotations": []}
    written.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    (image,) = read_annotation_file(written).images
    assert find_in(folder, [image.file_name])[image.file_name] == (str(folder / name),)


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "cp1251"])
def test_a_name_in_another_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    name = "\u0444\u043e\u0442\u043e.jpg" if encoding == "cp1251" else "caf\u00e9.jpg"
    raw = os.path.join(os.fsencode(tmp_path), name.encode(encoding))  # noqa: PTH118
    with open(raw, "wb"):  # noqa: PTH123
        pass
    assert find_in(tmp_path, [name])[name] == (os.fsdecode(raw),)


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        # The same to the letter goes before what differs in its ending.
        (["a.png"], ["a.png", "a.jpg"], {"a.png": "a.png", "a.jpg": None}),
        (["a.jpg"], ["a.png", "a.jpeg"], {"a.png": None, "a.jpeg": None}),
        (["a.jpg", "a.png"], ["a"], {"a": None}),
        (["a.jpg", "A.jpg"], ["a.jpg", "A.jpg"], {"a.jpg": "a.jpg", "A.jpg": "A.jpg"}),
        # One name in two folders, of which one is there.
        (["cat/1.jpg"], ["cat/1.jpg", "dog/1.jpg"], {"cat/1.jpg": "cat/1.jpg", "dog/1.jpg": None}),
        (["1.jpg"], ["cat/1.jpg", "dog/1.jpg"], {"cat/1.jpg": None, "dog/1.jpg": None}),
        (["cat/1.jpg", "dog/1.jpg"], ["1.jpg"], {"1.jpg": None}),
        (["1.jpg", "dog/1.jpg"], ["1.jpg"], {"1.jpg": "1.jpg"}),
        # A file that lists a photograph in two ways.
        (["cat/1.jpg"], ["cat/1.jpg", "x/cat/1.jpg"],
         {"cat/1.jpg": "cat/1.jpg", "x/cat/1.jpg": "cat/1.jpg"}),
    ],
)  # fmt: skip
def test_no_photograph_is_taken_for_another(
    tmp_path: Path, there: list[str], asked: list[str], found: dict[str, str | None]
) -> None:
    folder = made(tmp_path / "im", *there)
    fits = find_in(folder, asked)
    one = {name: paths[0] if len(paths) == 1 else None for name, paths in fits.items()}
    assert one == {name: None if p is None else str(folder / p) for name, p in found.items()}


_WORD = st.sampled_from(["a", "b", "\u00e9"])
_NAMES = st.lists(
    st.builds(
        lambda folders, stem, end: "/".join([*folders, stem + end]),
        st.lists(_WORD, max_size=2), _WORD, st.sampled_from([".jpg", ".png", ".JPG", ""]),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_NAMES, _NAMES, st.booleans())
def test_what_is_paired_may_be_paired(there: list[str], asked: list[str], rooted: bool) -> None:
    """A path has the name's stem, no folder that contradicts it, and one claimant at the most."""
    paths = [f"/root/{name}" for name in there if name.lower().endswith(("jpg", "png"))]
    fits = PathFinder(paths, "/root" if rooted else None).find(asked)
    assert set(fits) == set(asked)
    for name, found in fits.items():
        assert set(found) <= set(paths)
        for path in found:
            assert Path(path).stem.casefold() == Path(name).stem.casefold()
        if rooted and f"/root/{name}" in paths:
            assert found == (f"/root/{name}",)


def test_a_name_keeps_its_own_path_whoever_else_could_mean_it() -> None:
    finder = PathFinder(["/root/b.jpg"], "/root")
    fits = finder.find(["b.jpg", "a/b.jpg", "b/b.jpg"])
    assert fits == {"b.jpg": ("/root/b.jpg",), "a/b.jpg": (), "b/b.jpg": ()}
    assert finder.find(["a/b.jpg"]) == {"a/b.jpg": ("/root/b.jpg",)}


def test_many_photographs_of_one_name_take_no_time_that_grows_with_the_square() -> None:
    paths = [f"/root/{i}/rgb.png" for i in range(20_000)]
    names = [f"{i}/rgb.png" for i in range(20_000)]
    fits = PathFinder(paths, "/root").find(names)
    assert [fits[name] for name in names[:3]] == [(path,) for path in paths[:3]]
    crowded = PathFinder(["/root/rgb.png"], "/root").find(names)
    assert not any(crowded.values())


def test_one_photograph_is_found_without_the_others_names(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "caf\u00e9.jpg")
    folder = made(tmp_path, "train/a.jpg", "b.jpg", nfd)
    assert find_photograph(folder, "train/a.jpg") == folder / "train" / "a.jpg"
    assert find_photograph(folder, "train2017\\b.jpg") == folder / "b.jpg"
    assert find_photograph(folder, "B.JPG") == folder / "b.jpg"
    assert find_photograph(folder, "caf\u00e9.jpg") == folder / nfd
    assert find_photograph(folder, "c.jpg") is None
    assert find_photograph(folder, "/") is None
    assert find_photograph(folder / "none", "a.jpg") is None


def test_the_root_may_be_called_by_a_link_as_the_paths_are(tmp_path: Path) -> None:
    made(tmp_path / "im", "a.jpg", "day2/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "im")
    for folder, root in (("im", "im"), ("im", "link"), ("link", "link")):
        paths = [str(tmp_path / folder / name) for name in ("a.jpg", "day2/a.jpg")]
        assert PathFinder(paths, tmp_path / root).find(["a.jpg"]) == {"a.jpg": (paths[0],)}
