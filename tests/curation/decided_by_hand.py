"""A run whose instances look as words say, so that it is known what decisions can teach."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ovsam_plugin.curation.attributes import declare
from ovsam_plugin.curation.decisions import accept, rename
from ovsam_plugin.dataset import edits, embedding_index, runs
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.embeddings import join
from ovsam_plugin.dataset.fields import declare_fields, name_attributes
from ovsam_plugin.prediction.labeler import build_recognizer
from ovsam_plugin.presets import get_preset
from ovsam_plugin.vocabulary import load_vocabulary
from ovsam_plugin.vocabulary.classifier import embed_names
from ovsam_plugin.vocabulary.text import load_text_tower
from ovsam_plugin.vocabulary.text_reading import unit

LITE = Embedder("ovsam-lite", "")

NAMES = "cat, cup, person, spoon"
# What the instances of a photograph are, and what they look like: the spoons are taken for cups.
THINGS = (("cat", ("cat",)), ("cup", ("cup",)), ("spoon", ("cup", "ladle")), ("cat", ("cat",)))
PHOTOGRAPHS = 12


def make(vocabulary: str = NAMES) -> fo.Dataset:
    """A labelled dataset without files: the run `ovsam`, its embeddings and nothing decided."""
    dataset = fo.Dataset()
    dataset.add_samples([fo.Sample(filepath=f"/none/{i:02}.jpg") for i in range(PHOTOGRAPHS)])
    declare_fields(dataset, "ovsam")
    declare(dataset, "ovsam")
    preset, classes = get_preset("ovsam-lite"), load_vocabulary(vocabulary)
    recognizer = build_recognizer(preset, classes)
    tower = load_text_tower(preset.text_tower, "cpu")
    words = [embed_names(list(look), preset.templates, tower).mean(axis=0) for _, look in THINGS]
    rng = np.random.default_rng(0)
    spool = EmbeddingSpool(dataset, "ovsam")
    for sample in dataset.iter_samples(autosave=True):
        noise = rng.normal(size=(2, len(THINGS), len(words[0])))
        head, clip = (unit((np.array(words) + 0.015 * n).astype(np.float32)) for n in noise)
        names = recognizer.recognize(head, clip, np.zeros(len(THINGS), dtype=bool))
        labels = [
            fo.Detection(
                bounding_box=[0.2 * i, 0.1, 0.1, 0.1],
                mask=np.ones((4, 4), dtype=bool),
                prompt_type="box",
                **name_attributes(names, i),
            )
            for i in range(len(THINGS))
        ]
        sample["ovsam"] = fo.Detections(detections=labels)
        edits.mark(sample["ovsam"])
        spool.put("test", sample.id, [label.id for label in labels], join(head, clip))
    settings = runs.Settings(
        preset="ovsam-lite", weights="w", vocabulary=classes.name, vocabulary_hash=classes.hash,
        prompt_fields={}, find=None, min_confidence=None, points_per_side=None, refine_masks=False,
    )  # fmt: skip
    runs.register(dataset, "ovsam", settings, classes)
    assert embedding_index.refresh(dataset, "ovsam", LITE) == PHOTOGRAPHS * len(THINGS)
    return dataset


def decide(dataset: fo.Dataset, photographs: int, field: str = "ovsam", **names: str) -> None:
    """A person decides rightly about all instances of the first photographs.

    Args:
        dataset: of `make`.
        photographs: how many.
        field: where.
        **names: what the person calls a thing, where not as in THINGS.
    """
    for ids in dataset.values(f"{field}.detections.id")[:photographs]:
        for label_id, (thing, look) in zip(ids, THINGS):
            name = names.get(thing, thing)
            if name == look[0]:
                accept(dataset, field, label_id, by="test")
            else:
                rename(dataset, field, label_id, name, by="test")
