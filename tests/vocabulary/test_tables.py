"""The built-in vocabularies, held against facts from elsewhere."""

from __future__ import annotations

from collections import Counter

import open_clip
import pytest

from ovsam_plugin.vocabulary import BUILT_IN, Vocabulary, load_vocabulary
from ovsam_plugin.vocabulary.names import name_key


@pytest.mark.parametrize(
    ("name", "classes"),
    [("coco", 80), ("lvis", 1203), ("imagenet-1k", 1000), ("imagenet-21k", 21843)],
)
def test_every_class_is_there_once(name: str, classes: int) -> None:
    vocabulary = load_vocabulary(name)
    assert len(vocabulary) == classes == len({name_key(n) for n in vocabulary.names})
    assert len({category.id for category in vocabulary}) == classes


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_phrase_belongs_to_two_classes(name: str) -> None:
    count = Counter(
        name_key(text) for category in load_vocabulary(name) for text in category.synonyms
    )
    assert [text for text, times in count.items() if times > 1] == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_names_are_readable(name: str) -> None:
    odd = [n for n in load_vocabulary(name).names if "_" in n or "|" in n or len(n) > 100]
    assert odd == []
    assert [n for n in load_vocabulary(name).names if n.count("(") != n.count(")")] == []


def test_coco_has_its_ids_and_its_split() -> None:
    coco = load_vocabulary("coco")
    assert Counter(c.split for c in coco) == {"base": 48, "novel": 17, None: 15}
    by_name = {c.name: c for c in coco}
    assert by_name["fire hydrant"].id == 11
    assert by_name["toothbrush"].id == 90
    assert by_name["cat"].split == "novel"
    assert by_name["person"].split == "base"
    assert by_name["stop sign"].split is None
    assert "sofa" in by_name["couch"].synonyms


def test_lvis_s_novel_classes_are_its_rare_ones() -> None:
    lvis = load_vocabulary("lvis")
    assert Counter(c.frequency for c in lvis) == {"f": 405, "c": 461, "r": 337}
    assert all((c.split == "novel") == (c.frequency == "r") for c in lvis)
    assert [c.id for c in lvis] == list(range(1, 1204))


def test_lvis_s_senses_stay_apart_and_are_found_as_lvis_writes_them() -> None:
    lvis = load_vocabulary("lvis")
    assert lvis.names[lvis.find("bow_(decorative_ribbons)") or 0] == "bow (decorative ribbons)"
    assert lvis.find("bow_(weapon)") != lvis.find("bow_(decorative_ribbons)")
    for official in ("speaker_(stero_equipment)", "monitor_(computer_equipment) computer_monitor"):
        assert lvis.find(official) is not None


def test_imagenet_1k_has_open_clip_s_names_in_its_order() -> None:
    names = load_vocabulary("imagenet-1k").names
    changed = [
        (ours, theirs)
        for ours, theirs in zip(names, open_clip.IMAGENET_CLASSNAMES, strict=True)
        if ours != theirs
    ]
    assert changed == [("projectile", "missile"), ("sunglass", "sunglasses")]


def test_the_two_cranes_of_imagenet_have_two_names() -> None:
    by_id = {c.id: c.name for c in load_vocabulary("imagenet-21k")}
    assert by_id[2012849] == "crane (large long-necked wading bird)"
    assert by_id[3126707].startswith("crane (")
    assert by_id[2012849] != by_id[3126707]
    assert by_id[2128385] == "leopard"
    assert by_id[14765422] == "leopard (pelt)"


def test_open_22k_holds_every_class_of_the_three_under_some_name() -> None:
    merged = load_vocabulary("open-22k")
    assert len(merged) > 20_000
    for name in ("coco", "lvis", "imagenet-21k"):
        assert [n for n in load_vocabulary(name).names if merged.find(n) is None] == []


def test_open_22k_keeps_coco_s_classes_apart_and_lvis_s_too() -> None:
    merged = load_vocabulary("open-22k")
    for name in ("coco", "lvis"):
        vocabulary = load_vocabulary(name)
        assert len({merged.find(n) for n in vocabulary.names}) == len(vocabulary)


def test_open_22k_merges_what_is_the_same_thing() -> None:
    merged = load_vocabulary("open-22k")
    for same in (("car", "car (automobile)"), ("couch", "sofa"), ("tv", "television set")):
        assert len({merged.find(name) for name in same}) == 1
    car = merged.categories[merged.find("car") or 0]
    assert (car.name, car.frequency, car.split, car.id) == ("car", "f", "base", None)
    for apart in (("dog", "puppy"), ("cake", "birthday cake"), ("mouse", "mouse (rodent)")):
        assert len({merged.find(name) for name in apart}) == 2


def test_a_built_in_vocabulary_is_read_once() -> None:
    first: Vocabulary = load_vocabulary("LVIS ")
    assert load_vocabulary("lvis") is first
