"""Clicks on a real photograph, alone and beside others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovsam_plugin import open_image
from ovsam_plugin.images.reading import ImageError, read_image
from ovsam_plugin.interactive.session import Instance, Session
from ovsam_plugin.interactive.shared_network import load_shared_network
from ovsam_plugin.prediction.prompts import Points

# On the cat's forehead, on the cup's side, and on the woman's face.
PLACES = {"chelsea.png": (230, 120), "coffee.png": (290, 190), "astronaut.png": (220, 120)}
NAMES = "cat, cup, person, spoon, rocket"


@pytest.fixture
def cat(photographs: dict[str, Path]) -> Session:
    return open_image(photographs["chelsea.png"], vocabulary=NAMES, device="cpu")


def iou(a: Instance, b: Instance) -> float:
    return float((a.mask & b.mask).sum() / max((a.mask | b.mask).sum(), 1))


def same(a: Instance, b: Instance) -> bool:
    # Batches of another size round otherwise.
    return bool((a.mask == b.mask).all()) and dict(a.names) == pytest.approx(
        dict(b.names), abs=1e-5
    )


def test_what_is_clicked_is_cut_out_and_named(photographs: dict[str, Path]) -> None:
    for name, label in (("chelsea.png", "cat"), ("coffee.png", "cup"), ("astronaut.png", "person")):
        session = open_image(photographs[name], vocabulary=NAMES, device="cpu")
        x, y = PLACES[name]
        instance = session.click(x, y)
        assert instance is session.instance
        assert instance.mask[y, x], name
        assert instance.mask.shape == session.size
        assert instance.label == label
        assert instance.names[0] == (label, instance.confidence)
        x1, y1, x2, y2 = instance.box
        assert instance.crop.shape == (y2 - y1, x2 - x1)
        assert 0 < instance.objectness <= 1


def test_a_photograph_is_encoded_once(
    photographs: dict[str, Path], cat: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(load_shared_network(device="cpu").predictor, "encode", encode)
    again = open_image(photographs["chelsea.png"], vocabulary=NAMES, device="cpu")
    assert same(again.click(230, 120), cat.click(230, 120))
    assert len(cat.everything()) >= 1
    with pytest.raises(AssertionError, match="encoded again"):
        open_image(read_image(photographs["chelsea.png"]), device="cpu")


def test_hovering_shows_what_a_click_gives_and_changes_nothing(cat: Session) -> None:
    shown = cat.hover(230, 120)
    assert cat.instance is None
    assert same(shown, cat.click(230, 120))
    shown = cat.hover(150, 200)
    assert isinstance(shown.prompt, Points)
    assert shown.prompt.xy == ((230, 120), (150, 200))
    assert cat.instance is not None
    assert cat.instance.prompt == Points(((230, 120),))


def test_clicks_are_taken_back_one_by_one(cat: Session) -> None:
    first = cat.click(230, 120)
    second = cat.click(361, 150, on=False)
    assert second.prompt == Points(((230, 120), (361, 150)), (1, 0))
    assert first.mask[150, 361]
    assert not second.mask[150, 361]
    assert second.mask[120, 230]
    boxed = cat.box(110, 20, 410, 290)
    assert cat.instance is boxed
    assert cat.undo() is second
    assert cat.undo() is first
    assert cat.undo() is None
    assert cat.undo() is None
    cat.click(230, 120)
    cat.clear()
    assert cat.instance is None
    assert cat.candidates == ()
    assert cat.names() == ()


def test_candidates_lie_under_the_click_and_grow(cat: Session) -> None:
    clicked = cat.click(230, 120)
    found = cat.candidates
    areas = [int(c.mask.sum()) for c in found]
    assert areas == sorted(areas)
    assert all(c.mask[120, 230] for c in found)
    assert sum(same(c, clicked) for c in found) == 1
    assert all(iou(a, b) < 0.95 for i, a in enumerate(found) for b in found[:i])
    taken = cat.take(found[-1])
    assert cat.instance is taken
    assert cat.undo() is clicked


def test_another_vocabulary_names_what_is_there_anew(cat: Session) -> None:
    before = cat.click(230, 120)
    names = cat.names("tabby cat, teapot, bicycle")
    assert names[0][0] == "tabby cat"
    assert cat.instance is not None
    assert cat.instance.label == "tabby cat"
    assert (cat.instance.mask == before.mask).all()
    assert cat.click(231, 121).label == "tabby cat"


def test_words_find_what_they_describe(cat: Session) -> None:
    assert cat.find("a cat")[0].label == "cat"
    assert len(cat.find("a cat")) <= len(cat.everything())
    assert cat.find("a fire engine") == ()
    with pytest.raises(ValueError, match="words"):
        cat.find("  ")


def test_what_cannot_be_answered_says_why(cat: Session, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lies outside the 451 x 300 image"):
        cat.click(500, 10)
    with pytest.raises(ValueError, match="at least one positive point"):
        cat.click(10, 10, on=False)
    with pytest.raises(ValueError, match="empty or inverted"):
        cat.box(10, 10, 10, 20)
    assert cat.instance is None
    with pytest.raises(ImageError, match="there is no file"):
        open_image(tmp_path / "gone.png", device="cpu")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageError, match="not an image"):
        open_image(tmp_path / "text.png", device="cpu")
    with pytest.raises(TypeError, match="uint8"):
        open_image(np.zeros((4, 4, 3), np.float32), device="cpu")  # type: ignore[arg-type]


def test_a_turned_photograph_is_clicked_as_it_is_seen(
    photographs: dict[str, Path], tmp_path: Path
) -> None:
    seen = Image.open(photographs["chelsea.png"]).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side, to be turned clockwise
    stored = seen.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    session = open_image(tmp_path / "turned.jpg", vocabulary=NAMES, device="cpu")
    assert session.size == (300, 451)
    straight = open_image(np.asarray(seen), vocabulary=NAMES, device="cpu")
    assert iou(session.click(230, 120), straight.click(230, 120)) > 0.9
