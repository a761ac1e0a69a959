"""What decisions have taught, as a value and as a file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ovsam_plugin.prediction.labeler import build_recognizer
from ovsam_plugin.presets import get_preset
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.vocabulary import Category, Vocabulary, load_vocabulary
from ovsam_plugin.vocabulary.text_reading import unit

NAMES = "cat, cup, person, spoon"


def adapter(classes: list[int], vocabulary: str | Vocabulary = NAMES, added: int = 0) -> Adapter:
    rng = np.random.default_rng(0)
    return Adapter(
        load_vocabulary(vocabulary),
        np.array(classes, np.int64),
        rng.normal(size=(len(classes), 768)).astype(np.float32),
        network="n",
        added=added,
        provenance={"decisions": 3},
    )


def looks(total: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    head, clip = (unit(rng.normal(size=(total, 384)).astype(np.float32)) for _ in range(2))
    return head, clip, np.arange(total) == 5


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return build_recognizer(get_preset("ovsam-lite"), NAMES)


def test_without_decisions_every_number_is_the_same_bit_for_bit(recognizer: Recognizer) -> None:
    plain, learned = (r.recognize(*looks()) for r in (recognizer, recognizer.adapted(adapter([]))))
    for name in ("indices", "confidence", "head_score", "clip_score", "similarity", "margin",
                 "background", "top_indices", "top_scores"):  # fmt: skip
        assert getattr(plain, name).tobytes() == getattr(learned, name).tobytes(), name


def test_only_the_classes_with_decisions_get_other_scores(recognizer: Recognizer) -> None:
    made = adapter([1, 4])
    head, clip, empty = looks()
    before = recognizer.log_scores(head, clip, empty)
    after = recognizer.adapted(made).log_scores(head, clip, empty)
    assert before[:, [0, 2, 3]].tobytes() == after[:, [0, 2, 3]].tobytes()
    joined = np.concatenate([head, clip], axis=1) / np.sqrt(2)
    wanted = before[:, [1, 4]] + joined @ made.weights.T
    solid = ~empty
    assert np.allclose(after[solid][:, [1, 4]], wanted[solid], atol=1e-4)
    assert before[empty].tobytes() == after[empty].tobytes()


def test_a_file_gives_back_the_same(tmp_path: Path) -> None:
    known = Vocabulary("custom+1", (*load_vocabulary(NAMES), Category("valve", ("valve", "tap"))))
    for made in (adapter([1, 4], known, added=1), adapter([3], "coco")):
        made.save(tmp_path / "new" / "learned.safetensors")
        read = Adapter.load(tmp_path / "new" / "learned.safetensors")
        assert read.hash == made.hash
        assert read.vocabulary == made.vocabulary
        assert read.base.hash == made.base.hash
        assert (read.added, read.network, read.provenance) == (made.added, "n", {"decisions": 3})
        assert np.array_equal(read.weights, made.weights)


def test_other_weights_and_other_vocabularies_are_refused(recognizer: Recognizer) -> None:
    known = Vocabulary("custom+1", (*load_vocabulary(NAMES), Category("valve")))
    made = adapter([1, 4], known, added=1)
    made.check("n", load_vocabulary(NAMES))
    made.check("n", known)
    with pytest.raises(ValueError, match=r"other weights \(n, not other\)"):
        made.check("other", known)
    with pytest.raises(ValueError, match="learned over 'custom' \\(4 classes\\), not over 'coco'"):
        made.check("n", load_vocabulary("coco"))
    with pytest.raises(ValueError, match="learned over 'custom\\+1'"):
        recognizer.adapted(made)
    short = Adapter(load_vocabulary(NAMES), np.array([0]), np.ones((1, 10), np.float32), "n")
    with pytest.raises(ValueError, match="embeddings of 10 numbers, these have 768"):
        recognizer.adapted(short)


def _damaged(path: Path, kind: str) -> None:
    adapter([1, 2]).save(path)
    whole = path.read_bytes()
    numbers = {"classes": np.array([1]), "weights": np.ones((1, 4), np.float32)}
    told = {"network": "n", "vocabulary": "coco", "categories": [], "added": 0, "provenance": {}}
    sound = {"format": "ovsam adapter 1", "adapter": json.dumps(told)}
    if kind == "cut":
        path.write_bytes(whole[:-100])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"weights": 1}))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other safetensors":
        save_file(numbers, path)
    elif kind == "header":
        save_file(numbers, path, metadata={**sound, "adapter": "{"})
    elif kind == "outside":
        save_file({**numbers, "classes": np.array([81])}, path, metadata=sound)
    elif kind == "shapes":
        save_file({**numbers, "classes": np.array([1, 2])}, path, metadata=sound)
    elif kind == "not a number":
        save_file({**numbers, "weights": np.full((1, 4), np.nan, np.float32)}, path, metadata=sound)
    elif kind == "half":
        save_file({**numbers, "weights": np.ones((1, 4), np.float16)}, path, metadata=sound)


@pytest.mark.parametrize(
    "kind",
    ["cut", "pickle", "empty", "other safetensors", "header", "outside", "shapes", "not a number",
     "half"],
)  # fmt: skip
def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "learned.safetensors"
    _damaged(path, kind)
    with pytest.raises(ValueError, match="learned.safetensors is not an adapter"):
        Adapter.load(path)


def test_what_is_neither_an_adapter_nor_its_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ovsam learn"):
        Adapter.of(tmp_path / "none")
    with pytest.raises(TypeError, match="an Adapter or its file"):
        Adapter.of(3)  # type: ignore[arg-type]


def test_what_was_learned_over_another_adapter_gives_both_their_scores() -> None:
    rng = np.random.default_rng(0)
    vocabulary = load_vocabulary(NAMES)
    last = len(vocabulary)
    before = Adapter(
        vocabulary,
        np.array([0, last]),
        rng.normal(size=(2, 768)).astype(np.float32),
        "w",
        bias=np.array([0.5, -1], np.float32),
        kept=np.array([0.25, 1], np.float32),
    )
    whole = Vocabulary("more", (*vocabulary.categories, Category("zebra")))
    weights = rng.normal(size=(3, 768)).astype(np.float32)
    after = Adapter(whole, np.array([0, last, last + 1]), weights, "w", added=1)
    both = after.over(before)
    assert both.classes.tolist() == [0, last, last + 1]
    np.testing.assert_allclose(both.weights[0], before.weights[0] + weights[0], rtol=1e-6)
    np.testing.assert_allclose(both.weights[1], weights[1])
    np.testing.assert_allclose(both.weights[2], before.weights[1] + weights[2], rtol=1e-6)
    assert both.bias.tolist() == [0.5, 0, -1]
    assert both.kept.tolist() == [0.25, 1, 1]
    assert after.over(None) is after


def test_where_no_file_can_be_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        adapter([1]).save(tmp_path / "folder")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_bias_and_what_is_kept_go_into_the_file_and_the_hash(tmp_path: Path) -> None:
    vocabulary = load_vocabulary(NAMES)
    rows = np.ones((1, 768), np.float32)
    plain = Adapter(vocabulary, np.array([1]), rows, "w")
    half = np.array([0.5], np.float32)
    moved = Adapter(vocabulary, np.array([1]), rows, "w", bias=half, kept=half)
    assert plain.hash != moved.hash
    for one in (plain, moved):
        one.save(tmp_path / "a.safetensors")
        again = Adapter.load(tmp_path / "a.safetensors")
        assert again.hash == one.hash
        assert (again.bias.tolist(), again.kept.tolist()) == (one.bias.tolist(), one.kept.tolist())
    with pytest.raises(ValueError, match="bias and kept"):
        Adapter(vocabulary, np.array([1]), rows, "w", bias=np.zeros(2, np.float32))
