"""The demo, on two of its photographs."""

import fiftyone as fo
import numpy as np
from PIL import Image

from ovsam_plugin import demo


def test_the_photographs_come_with_scikit_image():
    for path in demo.photographs():
        assert np.asarray(Image.open(path)).size


def test_the_demo_calls_the_cat_a_cat_and_says_how_to_go_on(tmp_path, capsys):
    sheet = demo.run(tmp_path, names=["chelsea.png", "coffee.png"])
    output = capsys.readouterr().out
    dataset = fo.load_dataset(demo.DATASET)
    try:
        assert dataset.count() == 2
        for field in (demo.BY_BOX, demo.EVERYTHING):
            assert dataset.exists(f"{field}_error").count() == 0
            labels = dataset.first()[field].detections
            assert max(labels, key=lambda label: label.confidence).label == "cat"
        for words in ("chelsea.png", "coffee.png", "cat (", "make app", str(sheet.name)):
            assert words in output
        assert Image.open(sheet).width > 1000
    finally:
        fo.delete_dataset(demo.DATASET)
