"""The demo, whole."""

import fiftyone as fo
import numpy as np
from PIL import Image

from ovsam_plugin import demo


def test_the_photographs_come_with_scikit_image():
    for path in demo.photographs():
        assert np.asarray(Image.open(path)).size


def test_the_demo_labels_every_photograph_and_draws_them(tmp_path, capsys):
    sheet = demo.run(tmp_path)
    output = capsys.readouterr().out
    dataset = fo.load_dataset(demo.DATASET)
    try:
        assert dataset.count() == len(demo.PHOTOGRAPHS)
        assert dataset.exists(f"{demo.FIELD}_error").count() == 0
        assert all(count > 0 for count in map(len, dataset.values(f"{demo.FIELD}.detections")))
        for name in demo.PHOTOGRAPHS:
            assert name in output
        assert "make app" in output
        assert min(Image.open(sheet).size) > 1000
    finally:
        fo.delete_dataset(demo.DATASET)
