"""Names by a namer of one's choice, and everything that follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.curation.learning import learn_names
from ovsam_plugin.curation.naming import name_instances
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.curation.search import search
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.label_masks import crop_of
from ovsam_plugin.images.reading import read_image
from ovsam_plugin.namers import Masked, NamerSpec, load_namer
from ovsam_plugin.recognition.adapter import Adapter
from tests.namers.open_clip_model import write_model

from .conftest import NAMES, SMALL

CUTS = "0:0, 0.2:1"


@pytest.fixture(scope="module")
def namer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("namer"))


def draw(dataset: fo.Dataset) -> fo.Dataset:
    """A mask and a box on each photograph, as another model would leave them."""
    for sample in dataset:
        mask = np.zeros((40, 60), dtype=bool)
        mask[5:35, 10:50] = True
        sample["theirs"] = fo.Detections(
            detections=[
                fo.Detection(label="a", bounding_box=[0.2, 0.2, 0.5, 0.5], mask=mask),
                fo.Detection(label="b", bounding_box=[0.3, 0.3, 0.4, 0.4]),
            ]
        )
        sample.save()
    return dataset


def name_by(dataset: fo.Dataset, namer: str, **more: Any) -> Any:
    settings: dict[str, Any] = {"vocabulary": NAMES, "namer": namer, "cuts": CUTS, **SMALL, **more}
    return name_instances(dataset, pred_field="theirs", **settings)


@pytest.fixture(scope="module")
def named_once(namer: str, photographs: dict[str, Path]) -> Any:
    made = fo.Dataset()
    made.add_images([str(path) for path in photographs.values()])
    name_by(draw(made), namer)
    yield made
    made.delete()


@pytest.fixture
def named(named_once: fo.Dataset) -> Any:
    clone = named_once.clone()
    yield clone
    clone.delete()


def test_masks_and_boxes_are_named_by_the_namers_own_embeddings(
    named: fo.Dataset, namer: str
) -> None:
    kept = embedding_index.load(named, "theirs_named")
    assert kept.vectors.shape == (6, 96)
    maker = load_namer(NamerSpec.of(namer, CUTS), "cpu")
    for sample in named:
        pixels = read_image(sample.filepath)
        labels = sample["theirs_named"].detections
        assert {label["prompt_type"] for label in labels} == {"mask", "box"}
        assert {label.label for label in labels} <= set(NAMES.split(", "))
        crops = [crop_of(label, pixels.shape[:2]) for label in labels]
        (again,) = maker.embed([Masked(pixels, crops)])
        rows = kept.rows([label.id for label in labels])
        np.testing.assert_allclose(kept[rows].head, again.head, atol=1e-5)


def test_the_run_says_who_named(named: fo.Dataset, namer: str) -> None:
    recorded = runs.recorded(named, "theirs_named")
    assert recorded is not None
    assert (recorded["preset"], recorded["namer"], recorded["cuts"]) == (
        "ovsam-lite",
        namer,
        "0:0, 0.2:1",
    )
    embedder = Embedder.of(recorded)
    assert embedder.fingerprint == NamerSpec.of(namer, CUTS).fingerprint
    assert embedder.fingerprint != recorded["weights"]


def test_called_again_nothing_is_done_and_other_cuts_are_other_settings(
    named: fo.Dataset, namer: str
) -> None:
    assert name_by(named, namer).labels.labelled == 0
    with pytest.raises(ValueError, match="cuts was '0:0, 0.2:1', now '0:1'"):
        name_by(named, namer, cuts="0:1")
    with pytest.raises(ValueError, match="namer was"):
        name_by(named, None, cuts=None)


def test_search_by_words_and_by_likeness_is_the_namers(named: fo.Dataset, namer: str) -> None:
    found = search(named, "a cat", pred_field="theirs_named", k=6)
    assert len(found) == 6
    kept = embedding_index.load(named, "theirs_named")
    index = embedding_index.opened(named, "theirs_named")
    words = index.get_model().embed_prompt("a cat")
    best = kept.label_ids[int((kept.vectors @ words).argmax())]
    assert found.first().id == best
    like = search(named, found.first().id, pred_field="theirs_named", k=1)
    assert like.first()["theirs_named"]["search_score"] == pytest.approx(1, abs=1e-4)


def test_relabelling_reads_names_by_the_same_model(named: fo.Dataset, namer: str) -> None:
    summary = relabel_dataset(
        named, pred_field="theirs_named", vocabulary="dog, table", label_field="other", device="cpu"
    )
    assert summary.instances == 6
    recorded = runs.recorded(named, "other")
    assert recorded is not None
    assert (recorded["namer"], recorded["source"]) == (namer, "theirs_named")
    back = relabel_dataset(
        named, pred_field="other", vocabulary=NAMES, label_field="back", device="cpu"
    )
    assert back.instances == 6
    assert named.values("back.detections.label") == named.values("theirs_named.detections.label")
    assert score_run(named, pred_field="theirs_named", device="cpu").instances == 6


def test_words_of_another_are_refused_with_the_reason(named: fo.Dataset, namer: str) -> None:
    with pytest.raises(
        ValueError, match=r"were made by openclip:ViT-namer.*words that ovsam-lite reads"
    ):
        relabel_dataset(
            named, pred_field="theirs_named", vocabulary="dog", namer="ovsam-lite", device="cpu"
        )
    vocabulary = runs.recorded_vocabulary(named, "theirs_named")
    assert vocabulary is not None
    weights = runs.recorded(named, "theirs_named")["weights"]  # type: ignore[index]
    adapter = Adapter(vocabulary, np.array([0]), np.zeros((1, 96), np.float32), weights)
    with pytest.raises(ValueError, match="learned for other weights"):
        relabel_dataset(
            named, pred_field="theirs_named", vocabulary=NAMES, adapter=adapter, device="cpu"
        )


def test_other_weights_under_the_same_name_are_refused(dataset: fo.Dataset, tmp_path: Path) -> None:
    namer = write_model(tmp_path)
    name_by(draw(dataset), namer)
    assert len(search(dataset, "a cat", pred_field="theirs_named"))
    write_model(tmp_path, seed=1)
    why = "with other weights than it has now"
    with pytest.raises(ValueError, match=why):
        relabel_dataset(dataset, pred_field="theirs_named", vocabulary="dog, table", device="cpu")
    index = embedding_index.opened(dataset, "theirs_named")
    index._model = None  # as in another process
    with pytest.raises(ValueError, match=why):
        search(dataset, "a dog", pred_field="theirs_named")
    with pytest.raises(ValueError, match="namer_hash was"):
        name_by(dataset, namer)
    assert name_by(dataset, namer, overwrite=True).labels.instances == 6
    assert len(search(dataset, "a dog", pred_field="theirs_named"))


def test_embeddings_that_another_made_since_are_not_taken_for_its_own(
    named: fo.Dataset, namer: str
) -> None:
    relabel_dataset(
        named, pred_field="theirs_named", vocabulary="dog, table", label_field="other", device="cpu"
    )
    name_by(named, None, cuts=None, overwrite=True)
    with pytest.raises(ValueError, match="embeddings that are kept for field 'other' were"):
        relabel_dataset(
            named, pred_field="other", vocabulary="cat, cup", label_field="third", device="cpu"
        )
    with pytest.raises(ValueError, match="the words of one cannot be compared"):
        search(named, "a dog", pred_field="other")
    assert len(search(named, "a dog", pred_field="theirs_named"))


def test_a_broken_photograph_costs_no_other(dataset: fo.Dataset, namer: str) -> None:
    draw(dataset)
    Path(dataset.last().filepath).write_bytes(b"no picture")
    summary = name_by(dataset, namer)
    assert (summary.labels.failed, summary.labels.instances) == (1, 4)
    assert "is not an image" in dataset.last()["theirs_named_error"]


def test_an_empty_mask_and_one_outside_have_their_reason(dataset: fo.Dataset, namer: str) -> None:
    sample = dataset.first()
    empty = np.zeros((10, 10), dtype=bool)
    sample["theirs"] = fo.Detections(
        detections=[
            fo.Detection(bounding_box=[0.1, 0.1, 0.2, 0.2], mask=empty),
            fo.Detection(bounding_box=[1.2, 0.1, 0.2, 0.2], mask=~empty),
            fo.Detection(label="no box"),
            fo.Detection(bounding_box=[0.1, 0.1, 0.2, 0.2], mask=~empty),
        ]
    )
    sample.save()
    summary = name_by(dataset, namer)
    assert summary.labels.instances == 1
    reason = dataset.first()["theirs_named_error"]
    assert reason.startswith("3 of 4 prompts left out")
    assert all(d.id in reason for d in dataset.first()["theirs"].detections[:3])


def test_polylines_and_patches_are_named(dataset: fo.Dataset, namer: str) -> None:
    draw(dataset)
    for sample in dataset:
        square = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
        sample["lines"] = fo.Polylines(
            polylines=[fo.Polyline(points=[square], closed=True, filled=True)]
        )
        sample.save()
    lines = name_instances(dataset, pred_field="lines", vocabulary=NAMES, namer=namer, **SMALL)
    assert lines.labels.instances == 3
    patches = dataset.to_patches("theirs")[1:4]
    chosen = set(patches.values("id"))
    assert name_by(patches, namer).labels.instances == 3
    assert set(dataset.values("theirs_named.detections.prompt_id", unwind=True)) == chosen
    with pytest.raises(ValueError, match="patches of field 'theirs', not of 'lines'"):
        name_instances(patches, pred_field="lines", vocabulary=NAMES, **SMALL)
    rest = name_by(dataset, namer)
    assert rest.labels.instances == 3
    assert dataset.count("theirs_named.detections") == 6


def test_everything_and_words_can_be_named_by_it_too(dataset: fo.Dataset, namer: str) -> None:
    view = dataset[:1]
    settings = {"vocabulary": NAMES, "namer": namer, "cuts": "0:1", **SMALL}
    found = label_dataset(view, label_field="all", **settings)
    assert found.instances > 0
    kept = embedding_index.load(dataset, "all")
    assert kept.vectors.shape == (found.instances, 96)
    objectness = view.first()["all"].detections[0]["objectness"]
    assert 0 < objectness < 1
    label_dataset(view, label_field="words", find="a cat", **settings)
    assert dataset.get_run_info("words").config.namer == namer


def test_decisions_are_learned_over_the_namers_embeddings(
    namer: str, photographs: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    from ovsam_plugin.curation.decisions import rename

    copies = [
        str(shutil.copy(path, tmp_path / f"{i}-{name}"))
        for i in range(2)
        for name, path in photographs.items()
    ]
    dataset = fo.Dataset()
    dataset.add_images(copies)
    for sample in dataset:
        boxes = np.random.default_rng(0).uniform(0.05, 0.4, (4, 4)).tolist()
        asks = [fo.Detection(bounding_box=box, mask=np.ones((4, 4), bool)) for box in boxes]
        sample["theirs"] = fo.Detections(detections=asks)
        sample.save()
    name_by(dataset, namer)
    ids = dataset.values("theirs_named.detections.id", unwind=True)
    rename(dataset, "theirs_named", ids, "spoon")
    file = tmp_path / "learned.safetensors"
    learned = learn_names(dataset, pred_field="theirs_named", save=file, device="cpu")
    assert learned.lesson.adapter.network == NamerSpec.of(namer, CUTS).fingerprint
    again = name_by(dataset, namer, label_field="again", adapter=file)
    assert again.labels.instances == 24
    assert set(dataset.values("again.detections.label", unwind=True)) == {"spoon"}
    with pytest.raises(ValueError, match="learned for other weights"):
        name_by(dataset, None, cuts=None, label_field="lite", adapter=file)
    dataset.delete()
