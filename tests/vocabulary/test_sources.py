"""Vocabularies out of lists and files, and what is said about bad ones."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ovsam_plugin.vocabulary import Category, Vocabulary, load_vocabulary
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.sources import FIELDS


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Words as people write them, with what means something in a file.
WORDS = st.text(st.sampled_from("abcDE ñ猫é'\"-_.&()/"), min_size=1, max_size=12)


@st.composite
def classes(draw: st.DrawFn) -> Vocabulary:
    """A vocabulary of any names that can be written."""
    distinct: dict[str, Category] = {}
    for name in draw(st.lists(WORDS, min_size=1, max_size=6)):
        synonyms = tuple(draw(st.lists(WORDS, max_size=2)))
        split = draw(st.sampled_from([None, "base", "novel"]))
        frequency = draw(st.sampled_from([None, "f", "c", "r"]))
        with suppress(ValueError):  # blank, and so no name
            made = Category(name, synonyms, split, frequency, draw(st.none() | st.integers(0, 9)))
            distinct[name_key(made.name)] = made
    assume(distinct)
    return Vocabulary("v", tuple(distinct.values()))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(classes())
def test_what_is_written_to_a_file_is_read_back(tmp_path: Path, vocabulary: Vocabulary) -> None:
    def written(classes: Vocabulary) -> list[dict[str, Any]]:
        rows = ({f: getattr(c, f) for f in FIELDS} for c in classes)
        return [{f: v for f, v in row.items() if v is not None} for row in rows]

    # Once, since what a text tower reads is cleaned on the way in: "D_" is read as "D".
    read = load_vocabulary(_file(tmp_path, "v.json", json.dumps(written(vocabulary))))
    assert read.names == vocabulary.names
    rows = written(read)
    again = load_vocabulary(_file(tmp_path, "v.json", json.dumps(rows)))
    assert again.categories == read.categories
    assert again.hash == read.hash
    with (tmp_path / "v.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        table.writerows({**row, "synonyms": "|".join(row["synonyms"])} for row in rows)
    assert load_vocabulary(tmp_path / "v.csv").categories == read.categories
    for place, category in enumerate(vocabulary):
        spelled = category.name.upper().replace(" ", "_")
        if name_key(spelled) == name_key(category.name):
            assert vocabulary.find(spelled) == place


def test_a_comma_list_gives_classes_with_synonyms() -> None:
    vocabulary = load_vocabulary("cat|kitty, dog ,fire_hydrant,")
    assert vocabulary.names == ("cat", "dog", "fire_hydrant")
    assert [c.synonyms for c in vocabulary] == [("cat", "kitty"), ("dog",), ("fire hydrant",)]


def test_a_list_keeps_names_as_the_data_set_writes_them() -> None:
    names = ["fire_hydrant", "a, b", "x|y", "🐱", "猫", "кошка", "coco"]
    vocabulary = load_vocabulary(names)
    assert vocabulary.names == tuple(names)
    assert vocabulary.categories[3].synonyms == ("cat face",)


def test_decomposed_letters_are_the_same_name() -> None:
    assert load_vocabulary(["cafe\u0301"]).hash == load_vocabulary(["caf\u00e9"]).hash


def test_a_vocabulary_is_its_own_vocabulary() -> None:
    vocabulary = Vocabulary("pets", (Category("cat"),))
    assert load_vocabulary(vocabulary) is vocabulary


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cocoo", "unknown vocabulary 'cocoo'. Did you mean coco"),
        ("imagenet", "Did you mean imagenet-1k or imagenet-21k"),
        ("zebra", r"unknown vocabulary 'zebra'. Allowed: one of coco, lvis.*\"cat,\" for one"),
        ("  ", "the vocabulary is empty"),
        (",", "entry 1 of the comma list is empty"),
        ("cat,,dog", "entry 2 of the comma list is empty"),
        ([], "the list of names holds no class name"),
        (["cat", ""], "entry 2 of the list of names is empty"),
        (["x" * 300], "entry 1 of the list of names has 300 characters"),
        ("missing.csv", "cannot read the vocabulary missing.csv: No such file"),
        (Path("classes.yaml"), "classes.yaml is not a vocabulary file: need .txt, .csv, .json"),
    ],
)
def test_a_bad_spec_says_what_is_allowed(spec: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_vocabulary(spec)


@pytest.mark.parametrize("spec", [None, 5, b"cat,dog", {"cat": 1}, ["cat", None]])
def test_what_is_no_spec_at_all_is_a_type_error(spec: Any) -> None:
    with pytest.raises(TypeError, match=r"a vocabulary is one of|must be a string"):
        load_vocabulary(spec)


def test_names_that_differ_only_in_case_and_space_are_merged_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="repeats 'Fire hydrant'; each was merged"):
        vocabulary = load_vocabulary("fire_hydrant|plug, cat, Fire hydrant|hydrant")
    assert vocabulary.names == ("fire_hydrant", "cat")
    assert vocabulary.categories[0].synonyms == ("fire hydrant", "plug", "hydrant")


def test_a_text_file_has_one_class_a_line(tmp_path: Path) -> None:
    path = _file(tmp_path, "pets.txt", "\ufeff# my pets\ncat|kitty\r\n\n  猫 \n")
    vocabulary = load_vocabulary(str(path))
    assert vocabulary.name == "pets.txt"
    assert vocabulary.names == ("cat", "猫")


def test_a_csv_file_has_all_fields(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "pets.csv",
        'Name, synonyms,split,frequency,id\ncat,"kitty, puss",novel,r,7\ndog,hound|puppy,,,\n',
    )
    assert load_vocabulary(path).categories == (
        Category("cat", ("cat", "kitty", "puss"), "novel", "r", 7),
        Category("dog", ("dog", "hound", "puppy")),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("label,synonyms\ncat,kitty\n", "its header is 'label', 'synonyms', allowed are 'name'"),
        ("name,synonym\ncat,kitty\n", "did you mean 'synonyms'"),
        ("", "its header is empty"),
        ("name\n", "holds no class name"),
        ("name,synonyms\ncat,kitty,puss\n", "line 2 has more cells than the header: quote"),
        ("name,id\ncat,seven\n", "id 'seven' is not an integer"),
        ("name,split\ncat,train\n", "split of 'cat' is 'train'"),
        ("name,id\ncat,1\nCat,2\n", "has 'cat' twice .*with id 1 and 2"),
        (b"name\ncaf\xe9\n", "is not UTF-8 text"),
        (b"name\ncat\x00\n", "control character|not CSV"),
    ],
)
def test_a_bad_csv_file_says_where(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = _file(tmp_path, "bad.csv", content)
    with pytest.raises(ValueError, match=said):
        load_vocabulary(path)


def test_a_json_file_is_a_list_of_names_or_objects(tmp_path: Path) -> None:
    names = _file(tmp_path, "a.json", json.dumps(["cat", "dog"]))
    assert load_vocabulary(names).names == ("cat", "dog")
    objects = [{"name": "cat", "synonyms": ["kitty, small"], "split": "base"}, {"name": "dog"}]
    path = _file(tmp_path, "b.json", json.dumps(objects))
    assert load_vocabulary(path).categories[0] == Category("cat", ("cat", "kitty, small"), "base")


def test_an_annotation_file_gives_its_categories_as_it_writes_them(tmp_path: Path) -> None:
    categories = [
        {"id": 3, "name": "aerosol_can", "synonyms": ["aerosol_can", "spray_can"],
         "frequency": "c", "synset": "aerosol.n.02", "def": "a dispenser", "image_count": 64},
        {"id": 9, "name": "fire hydrant", "supercategory": "outdoor"},
    ]  # fmt: skip
    content = {"images": [], "annotations": [], "categories": categories}
    path = _file(tmp_path, "instances.json", json.dumps(content))
    assert load_vocabulary(str(path)).categories == (
        Category("aerosol_can", ("aerosol can", "spray can"), None, "c", 3),
        Category("fire hydrant", id=9),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ('{"images": [], "annotations": []}', 'has no "categories".*has annotations, images'),
        ('{"categories": {"1": "cat"}}', "without a 'categories' list"),
        ("3", "holds a int"),
        ("[3]", "entry 1 is 3: need a string or an object with 'name'"),
        ('[{"label": "cat"}]', "entry 1 is"),
        ('[{"name": "cat", "synonyms": "kitty"}]', "synonyms must be a list of strings"),
        ('[{"name": null}]', "must be a string, got NoneType"),
        ("[]", "holds no class name"),
    ],
)
def test_a_bad_json_file_says_what_is_needed(tmp_path: Path, content: str, said: str) -> None:
    path = _file(tmp_path, "bad.json", content)
    with pytest.raises((ValueError, TypeError), match=said):
        load_vocabulary(path)


def test_a_folder_is_no_vocabulary(tmp_path: Path) -> None:
    folder = tmp_path / "classes.txt"
    folder.mkdir()
    with pytest.raises(ValueError, match="cannot read the vocabulary"):
        load_vocabulary(folder)


def test_classes_of_an_annotation_file_that_share_a_name_are_one(tmp_path: Path) -> None:
    content = {
        "categories": [
            {"id": "1", "name": "cat"},
            {"id": 7.0, "name": "Cat"},
            {"id": "x", "name": "dog", "frequency": "often"},
            {"id": 3, "name": None},
        ],
        "annotations": [{"category_id": 7}],
        "images": None,
    }
    vocabulary = load_vocabulary(_file(tmp_path, "gt.json", json.dumps(content)))
    assert [(c.name, c.id) for c in vocabulary] == [("cat", 7), ("dog", None)]


VOC = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()


def test_every_name_of_voc_is_one_of_cocos() -> None:
    coco = load_vocabulary("coco")
    found = {name: coco.find(name) for name in VOC}
    assert None not in found.values()
    assert len(set(found.values())) == 20
    names = {name: coco.names[place] for name, place in found.items() if place is not None}
    assert names["tvmonitor"] == "tv"
    assert names["pottedplant"] == "potted plant"
    assert names["diningtable"] == "dining table"
    assert names["sofa"] == "couch"
    assert names["aeroplane"] == "airplane"
    assert names["motorbike"] == "motorcycle"


def test_names_that_run_together_are_found_and_change_nothing_else() -> None:
    coco, lvis = load_vocabulary("coco"), load_vocabulary("lvis")
    assert coco.hash == "237d587e65afa1fb8e1f7e63e1aa87ff79a2bd7112452bab27f4c2ded9b958a2"
    assert [coco.find(n) for n in ("hot dog", "hotdog", "HotDog", "t v monitor", "tvs")] == [
        *[coco.names.index("hot dog")] * 3, coco.names.index("tv"), None,
    ]  # fmt: skip
    assert lvis.find("firehydrant") == lvis.find("fire hydrant")
    assert not any("tvmonitor" in category.synonyms for category in coco)


def test_joined_words_that_two_classes_share_find_neither() -> None:
    vocabulary = load_vocabulary(["rain bow", "ra inbow", "dog house|kennel"])
    assert vocabulary.find("rainbow") is None
    assert vocabulary.find("rain_bow") == 0
