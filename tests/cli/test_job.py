"""What `ovsam label` refuses before it works."""

import shutil

import pytest

from ovsam_plugin import stop_labeling
from ovsam_plugin.dataset.importing import import_images
from ovsam_plugin.dataset.model import OvsamModel
from tests.cli.calling import run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--boxes", "a.json", "--everything"], "--boxes and --everything"),
        (["--boxes", "none.json"], "there is no annotation file none.json"),
        (["--find", " "], "--find needs words"),
        (["--preset", "ovsam-light"], "Did you mean 'ovsam-lite'?"),
        (["--vocabulary", "coko"], "coco"),
        (["--vocabulary", "none.txt"], "none.txt"),
        (["--field", "my field"], "cannot be a label field"),
        (["--field", "filepath"], "not Detections"),
        (["--box-field", "filepath"], "'filepath'"),
        (["--box-field", "a", "--mask-field", "b"], "--box-field and --mask-field"),
        (["--refine-masks"], "--refine-masks needs --mask-field"),
        (["--point-field", "clicks"], "there is no field 'clicks'"),
        (["--min-confidence", "2"], "--min-confidence"),
    ],
)
def test_what_cannot_work_is_said_in_one_message(folder, options, message):
    assert message in run("label", folder, *options, code=2)


def test_a_target_that_is_nothing_is_named_with_what_is_near(dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no images" in run("label", tmp_path / "empty", code=2)
    assert "give the folder" in run("label", shutil.copy(__file__, tmp_path / "a.py"), code=2)
    assert dataset.name in run("label", dataset.name[:-1], code=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--export", "{}"], "is a folder: give a file"),
        (["--boxes", "{}/a.txt", "--export", "{}/a.txt"], "would replace a file that is read"),
        (["--export", "{}/a.txt/preds.json"], "nothing can be written in"),
        (["--contact-sheet", "{}"], "is a folder: give a file"),
        (["--contact-sheet", "{}/sheet.doc"], "does not end as a picture's name does"),
        (["--crowds"], "--boxes or --center-points"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_labelled(
    folder, tmp_path, options, message
):
    (tmp_path / "a.txt").touch()
    given = [option.format(tmp_path) for option in options]
    assert message in run("label", folder, "--vocabulary", "cat,", *given, code=2)
    assert not import_images(folder).has_field("ovsam")


def test_a_run_that_was_stopped_from_elsewhere_says_so(dataset, monkeypatch):
    whole = OvsamModel.encode

    def stopping(self, batch):
        assert stop_labeling(dataset) == 1
        return whole(self, batch)

    options = ("--vocabulary", "cat,cup", "--device", "cpu", "--workers", "0", "--batch-size", "1")
    dataset.add_samples([s.copy() for s in dataset for _ in range(5)], progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(OvsamModel, "encode", stopping)
        output = run("label", dataset.name, *options, code=130)
    left = len(dataset) - len(dataset.exists("ovsam"))
    assert 0 < left < len(dataset)
    assert f"{left} images left\n" in output
    assert "the same command continues from there" in output
    assert " left" not in run("label", dataset.name, *options)


def test_where_nothing_passed_the_next_step_is_told(boxed):
    asked = ("label", boxed.name, "--box-field", "asks", "--vocabulary", "cat, cup")
    said = " ".join(run(*asked, "--min-confidence", "1").split())
    assert "0 instances on 3 images" in said
    assert "run it again with a lower --min-objectness or --min-confidence" in said
    assert "run it again with" not in run(*asked, "--overwrite")
