from __future__ import annotations

from pathlib import Path

import pytest

from ovsam_plugin.training.clip2sam import Clip2SamSettings
from ovsam_plugin.training.config import RECIPES, read_config
from ovsam_plugin.training.lite_settings import LiteSettings
from ovsam_plugin.training.sam2clip import Sam2ClipSettings
from ovsam_plugin.vocabulary.sources import load_vocabulary

RECIPE_FILES = Path(__file__).resolve().parent.parent.parent / "recipes"
LITE = """
out = "run"
complete = [["photographs", "/data/coco.json"]]
"""
# Of the recipes that read photographs of one origin.
ONE = """
out = "run"
images = "photographs"
annotations = "/data/coco.json"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_a_file_gives_settings_schedule_and_folders_relative_to_itself(tmp_path: Path) -> None:
    text = (
        LITE
        + """
partial = [["~/p", "p.json"], ["/q", "/q.json"]]
regions = [["a/images", "a/truth"], ["/b/images", "~/b"]]
tasks = ["names"]
batch = 3
[schedule]
steps = 7
precision = "bf16"
seed = 11
"""
    )
    run = read_config("lite", written(tmp_path, text))
    assert run.out == tmp_path / "run"
    assert isinstance(run.settings, LiteSettings)
    assert run.settings.complete == ((tmp_path / "photographs", Path("/data/coco.json")),)
    assert run.settings.partial == (
        (Path.home() / "p", tmp_path / "p.json"),
        (Path("/q"), Path("/q.json")),
    )
    assert run.settings.regions == (
        (tmp_path / "a/images", tmp_path / "a/truth"),
        (Path("/b/images"), Path.home() / "b"),
    )
    assert run.settings.tasks == ("names",)
    assert run.settings.batch == 3
    assert run.settings.start is None
    assert (run.schedule.steps, run.schedule.precision) == (7, "bf16")
    assert run.schedule.learning_rate == 1e-3
    assert run.schedule.seed == run.settings.seed == 11


@pytest.mark.parametrize("recipe", ["clip2sam", "coop"])
def test_a_vocabulary_file_beside_the_recipe_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    own = {"clip2sam": "weights = 'w.safetensors'", "coop": "method = 'image-crop'"}[recipe]
    (tmp_path / "names").mkdir()
    for name in ("names/mine.txt", "coco"):
        (tmp_path / name).write_text("heron\nkettle\n")
    monkeypatch.chdir(tmp_path / "names")

    def read(vocabulary: str) -> str:
        text = f"{ONE}{own}\nvocabulary = {vocabulary!r}\n[schedule]\nsteps = 1"
        found = read_config(recipe, written(tmp_path, text)).settings.vocabulary
        assert isinstance(found, str)
        return found

    assert load_vocabulary(read("names/mine.txt")).names == ("heron", "kettle")
    assert read(str(tmp_path / "names/mine.txt")) == str(tmp_path / "names/mine.txt")
    # A name of ours is not a file's, and what is no file beside the recipe stays as it is.
    for other in ("coco", "mine.txt", "heron, kettle", "heron, " * 200):
        assert read(other) == other


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("sam2clip", Sam2ClipSettings),
        ("clip2sam", Clip2SamSettings),
        ("lite", LiteSettings),
        ("lite-masks", LiteSettings),
        ("lite-base", LiteSettings),
    ],
)
def test_the_examples_are_read(recipe: str, kind: type[object]) -> None:
    run = read_config(recipe.partition("-")[0], RECIPE_FILES / f"{recipe}.toml")
    assert isinstance(run.settings, kind)
    assert run.out == RECIPE_FILES / ".." / "runs" / recipe
    assert run.schedule.steps >= 500


def test_the_shipped_weights_recipe_keeps_what_is_not_complete_apart() -> None:
    settings = read_config("lite", RECIPE_FILES / "lite.toml").settings
    assert isinstance(settings, LiteSettings)
    data = (RECIPE_FILES / ".." / "data").resolve()
    folders = [
        [image.resolve().relative_to(data).parts[0] for image, _ in files]
        for files in (settings.complete, settings.partial, settings.regions)
    ]
    assert folders[0] == ["coco-mini", "coco_full"]
    assert len(set(folders[1])) == len(folders[1]) == 8
    assert not {*folders[0]} & {*folders[1]}
    assert folders[2] == ["bsds500", "bsds500"]
    twin = read_config("lite", RECIPE_FILES / "lite-base.toml").settings
    assert isinstance(twin, LiteSettings)
    assert (twin.classes, twin.tasks, twin.start) == ("base", ("names",), None)


def test_every_recipe_has_an_example() -> None:
    assert {path.stem.split("-")[0] for path in RECIPE_FILES.glob("*.toml")} == set(RECIPES)
    for path in RECIPE_FILES.glob("*.toml"):
        read_config(path.stem.split("-")[0], path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("out = ", "is not TOML"),
        ("images = 'a'", "out = 'FOLDER' says where weights and checkpoints go"),
        ("out = 3", "out = 'FOLDER' says where"),
        ("out = 'run'\n[schedule]\nsteps = 1", "complete: is missing"),
        (ONE + "[schedule]\nsteps = 1", "images: is not a setting"),
        (LITE + "partial = [['a']]\n[schedule]\nsteps = 1", "partial.0.1: "),
        (LITE, "schedule.steps: is missing"),
        (LITE + "learning_rate = 1\n[schedule]\nsteps = 1", "learning_rate: is not a setting"),
        (LITE + "[schedule]\nsteps = 1\nlerning_rate = 1", "schedule.lerning_rate: is not a"),
        (LITE + "batch = 'four'\n[schedule]\nsteps = 1", "batch: Input should be a valid integer"),
        (LITE + "classes = 'novel'\n[schedule]\nsteps = 1", "classes: Input should be 'all' or"),
        (LITE + "tasks = ['masks', 'points']\n[schedule]\nsteps = 1", "tasks.1: Input should be"),
        (LITE + "schedule = 3", "schedule is a table"),
        (LITE + "[schedule]\nsteps = 1\nprecision = 'int8'", "schedule.precision: Input should"),
        (LITE + "batch = 0\n[schedule]\nsteps = 1", "batch: Input should be greater than 0"),
        (LITE + "crop = 100\n[schedule]\nsteps = 1", "crop: Input should be a multiple of 32"),
        (LITE + "[schedule]\nsteps = 0", "schedule.steps: Input should be greater than 0"),
        (LITE + "[schedule]\nsteps = 1\nlearning_rate = 0", "learning_rate: Input should be gr"),
        (LITE + "[schedule]\nsteps = 1\nlearning_rate = -1e-3", "learning_rate: Input should"),
        (LITE + "[schedule]\nsteps = 1\nlearning_rate = nan", "learning_rate: Input should be a"),
        (LITE + "[schedule]\nsteps = 1\nweight_decay = inf", "weight_decay: Input should be a"),
        (LITE + "[schedule]\nsteps = 1\nclip = -1", "schedule.clip: Input should be greater"),
        (LITE + "[schedule]\nsteps = 1\nema = 1.0", "schedule.ema: Input should be less than 1"),
        (LITE + "[schedule]\nsteps = 1\nseed = -1", "schedule.seed: Input should be greater"),
        (LITE + "[schedule]\nsteps = 1\nseed = 3_000_000_000", "schedule.seed: Input should be"),
        (LITE + "encoder_rate = -0.1\n[schedule]\nsteps = 1", "encoder_rate: Input should be gr"),
        (LITE + "tasks = []\n[schedule]\nsteps = 1", "tasks: Tuple should have at least 1 item"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused_with_what_it_is(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError) as caught:
        read_config("lite", written(tmp_path, text))
    assert reason in str(caught.value)
    assert "config.toml" in str(caught.value)


@pytest.mark.parametrize("recipe", ["clip2sam", "sam2clip", "coop"])
@pytest.mark.parametrize("share", ["-0.1", "7", "nan"])
def test_what_is_kept_back_is_a_share(tmp_path: Path, recipe: str, share: str) -> None:
    text = ONE.replace("annotations", "weights") if recipe == "sam2clip" else ONE
    path = written(tmp_path, f"{text}kept_back = {share}\n[schedule]\nsteps = 1")
    with pytest.raises(ValueError, match="kept_back: Input should be"):
        read_config(recipe, path)


@pytest.mark.parametrize("wrong", ["steps = 0", "batch = 0", "length = -2", "learning_rate = nan"])
def test_a_schedule_of_a_context_is_checked_too(tmp_path: Path, wrong: str) -> None:
    path = written(tmp_path, f"{ONE}method = 'image-crop'\n[schedule]\n{wrong}")
    with pytest.raises(ValueError, match=f"schedule.{wrong.split()[0]}: Input should be"):
        read_config("coop", path)


def test_a_file_that_is_not_there_is_refused_with_where_examples_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no configuration at .*: examples are in recipes/"):
        read_config("lite", tmp_path / "absent.toml")


def test_an_unknown_recipe_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="recipe 'light': expected one of sam2clip, clip2sam, lite"
    ):
        read_config("light", written(tmp_path, LITE))
