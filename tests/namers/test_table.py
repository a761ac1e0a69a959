"""Which namer is asked for; a new kind is a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin.curation.naming import name_instances
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.runs import recorded
from ovsam_plugin.namers import Branches, Masked, NamerSpec, table
from ovsam_plugin.namers.namer import NamerKind
from ovsam_plugin.recognition.text_side import TextSide, single_branch
from ovsam_plugin.vocabulary.templates import PLAIN_TEMPLATES
from ovsam_plugin.vocabulary.text import load_text_tower

WORDS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


class ColourNamer:
    """Of an instance, the embedding of the word whose colour is nearest its mean."""

    side = TextSide(
        name="colour:mean",
        text_tower="minilm",
        templates=PLAIN_TEMPLATES,
        fusion=single_branch(),
    )
    fingerprint = "colours"

    def embed(self, photographs: Sequence[Masked]) -> list[Branches]:
        words = load_text_tower("minilm", "cpu").encode(list(WORDS))
        found = []
        for photograph in photographs:
            colours = [
                photograph.pixels[y1:y2, x1:x2].reshape(-1, 3).mean(0)
                for x1, y1, x2, y2 in (crop.box for crop in photograph.crops)
            ]
            apart = [[np.abs(c - np.array(w)).sum() for w in WORDS.values()] for c in colours]
            rows = words[np.argmin(np.array(apart).reshape(-1, len(WORDS)), 1)]
            found.append(Branches(rows, rows))
        return found


COLOURS = NamerKind(
    told="'colour:mean'",
    claims=lambda name: name.startswith("colour:"),
    canonical=str,
    side=lambda name: ColourNamer.side,
    fingerprint=lambda name, cuts: ColourNamer.fingerprint,
    load=lambda name, cuts, device: ColourNamer(),
    cuts=False,
)


def test_a_new_kind_of_namer_is_a_row_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "NAMERS", (*table.NAMERS, COLOURS))
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40], pixels[:, 40:] = WORDS.values()
    Image.fromarray(pixels).save(tmp_path / "flag.png")
    dataset = fo.Dataset()
    halves = [fo.Detection(bounding_box=[x, 0, 0.5, 1]) for x in (0, 0.5)]
    dataset.add_sample(fo.Sample(tmp_path / "flag.png", drawn=fo.Detections(detections=halves)))
    names = name_instances(
        dataset,
        pred_field="drawn",
        label_field="named",
        namer="colour:mean",
        vocabulary="blue, red",
        device="cpu",
    )
    assert names.labels.failed == 0
    assert dataset.values("named.detections.label", unwind=True) == ["red", "blue"]
    made = recorded(dataset, "named")
    assert made is not None
    assert Embedder.of(made).name == "colour:mean"
    relabel_dataset(
        dataset, pred_field="named", vocabulary="scarlet, zebra", label_field="again", device="cpu"
    )
    assert dataset.values("again.detections.label", unwind=True)[0] == "scarlet"
    dataset.delete()


def test_names_of_no_row_are_refused_with_what_each_row_takes() -> None:
    with pytest.raises(ValueError, match="unknown namer 'colour:mean'.*openclip.*presets ovsam-l"):
        NamerSpec.of("colour:mean")
