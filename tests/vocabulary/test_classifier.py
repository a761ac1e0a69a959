"""A vocabulary read by a real tower, from nothing and from the cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ovsam_plugin.vocabulary import (
    PLAIN_TEMPLATES,
    Category,
    Classifier,
    TextTower,
    Vocabulary,
    build_classifier,
    load_text_tower,
    load_vocabulary,
)
from ovsam_plugin.vocabulary.cache import EmbeddingCache

COCO = load_vocabulary("coco")


@pytest.fixture(scope="module")
def minilm() -> TextTower:
    return load_text_tower("minilm", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def coco(minilm: TextTower, folder: Path) -> Classifier:
    return build_classifier(COCO, minilm, PLAIN_TEMPLATES, cache_dir=folder, progress=False)


def _nearest(classifier: Classifier, word: str, tower: TextTower) -> str:
    cosines = classifier.embeddings @ tower.encode([f"a photo of a {word}."])[0]
    return classifier.vocabulary.names[classifier.owner[cosines.argmax()]]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("sofa", "couch"),
        ("puppy", "dog"),
        ("telly", "tv"),
        ("kitty", "cat"),
        ("smartphone", "cell phone"),
        ("fridge freezer", "refrigerator"),
        ("jumbo jet", "airplane"),
        ("computer mouse pointer device", "mouse"),
    ],
)
def test_another_word_finds_its_class(
    coco: Classifier, minilm: TextTower, word: str, name: str
) -> None:
    assert _nearest(coco, word, minilm) == name


def test_each_synonym_has_a_unit_row_with_its_class(coco: Classifier) -> None:
    assert coco.owner.tolist() == [i for i, c in enumerate(COCO) for _ in c.synonyms]
    assert coco.embeddings.dtype == np.float32
    assert coco.owner.dtype == np.int64
    np.testing.assert_allclose(np.linalg.norm(coco.embeddings, axis=1), 1, atol=1e-5)


def test_templates_are_averaged_as_unit_vectors(minilm: TextTower, tmp_path: Path) -> None:
    pet = Vocabulary("pet", (Category("cat"),))
    templates = ["a photo of a {}.", "There is the {} in the scene"]
    built = build_classifier(pet, minilm, templates, cache_dir=tmp_path)
    mean = minilm.encode([t.format("cat") for t in templates]).mean(axis=0)
    np.testing.assert_allclose(built.embeddings[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_warm_cache_answers_the_same_without_loading_anything(
    coco: Classifier, folder: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, numpy as np\n"
        "from ovsam_plugin.vocabulary import *\n"
        "built = build_classifier(\n"
        "    load_vocabulary('coco'), 'minilm', PLAIN_TEMPLATES, cache_dir=sys.argv[1])\n"
        "assert 'torch' not in sys.modules and 'fiftyone' not in sys.modules\n"
        "np.save(sys.argv[2], built.embeddings)\n"
    )
    saved = tmp_path / "embeddings.npy"
    subprocess.run(
        [sys.executable, "-c", code, str(folder), str(saved)],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    np.testing.assert_array_equal(np.load(saved), coco.embeddings)


def test_only_names_not_read_before_are_read(minilm: TextTower, tmp_path: Path) -> None:
    read: list[tuple[int, int]] = []

    def build(names: str) -> Classifier:
        read.clear()
        return build_classifier(
            load_vocabulary(names),
            minilm,
            PLAIN_TEMPLATES,
            cache_dir=tmp_path,
            progress=lambda done, total: read.append((done, total)),
        )

    first = build("cat, dog")
    assert read[-1] == (2, 2)
    more = build("bird, cat, dog, fish, horse")
    assert read[-1] == (3, 3)
    np.testing.assert_array_equal(more.embeddings[1:3], first.embeddings)
    assert _nearest(more, "stallion", minilm) == "horse"
    build("horse, bird")
    assert read == []


def test_a_cache_that_is_damaged_is_read_anew(minilm: TextTower, tmp_path: Path) -> None:
    pets = load_vocabulary("cat, dog")
    first = build_classifier(pets, minilm, PLAIN_TEMPLATES, cache_dir=tmp_path)
    path = EmbeddingCache(tmp_path, minilm.fingerprint, PLAIN_TEMPLATES).path
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="is damaged"):
        second = build_classifier(pets, minilm, PLAIN_TEMPLATES, cache_dir=tmp_path)
    np.testing.assert_array_equal(first.embeddings, second.embeddings)
    assert len(EmbeddingCache(tmp_path, minilm.fingerprint, PLAIN_TEMPLATES).read()[0]) == 2


@pytest.mark.filterwarnings("ignore:text tower minilm has no token")
def test_classes_that_the_tower_cannot_tell_apart_are_named(
    minilm: TextTower, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="reads '猫' and '貓' as the same words"):
        build_classifier(
            load_vocabulary(["cat", "猫", "貓"]), minilm, PLAIN_TEMPLATES, cache_dir=tmp_path
        )


def test_emoji_are_read_by_name(coco: Classifier, minilm: TextTower, tmp_path: Path) -> None:
    built = build_classifier(
        load_vocabulary(["🐱", "🐶", "🚲"]), minilm, PLAIN_TEMPLATES, cache_dir=tmp_path
    )
    nearest = (built.embeddings @ coco.embeddings.T).argmax(axis=1)
    assert [COCO.names[coco.owner[i]] for i in nearest] == ["cat", "dog", "bicycle"]


@pytest.mark.parametrize(
    ("rows", "owner", "said"),
    [
        (2, [0], "need .* owners, got"),
        (2, [0, 0], "owners must go from 0 to 1"),
        (3, [0, 2, 1], "owners must go from 0 to 1"),
        (2, [1, 0], "ascending"),
    ],
)
def test_a_classifier_needs_a_row_for_every_class(rows: int, owner: list[int], said: str) -> None:
    pets = load_vocabulary("cat, dog")
    with pytest.raises(ValueError, match=said):
        Classifier(pets, np.ones((rows, 4), np.float32), np.array(owner))
