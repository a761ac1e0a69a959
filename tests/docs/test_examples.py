"""What the pages tell a reader to type, typed: on photographs that come with scikit-image."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from ovsam_plugin import demo
from ovsam_plugin.cli.ovsam import app
from ovsam_plugin.dataset.importing import import_images

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
# Smaller than they are: what is asked is whether the example works.
SIZES = {"chelsea.png": (200, 133), "coffee.png": (200, 133)}
# One box each, xywh in pixels of the small photographs, and what it shows.
BOXES = {"chelsea.png": ("cat", (20, 0, 157, 133)), "coffee.png": ("cup", (53, 7, 85, 80))}


def commands(name: str) -> list[list[str]]:
    """The commands of an example, without its markers of sections."""
    return parsed((EXAMPLES / name).read_text())


def parsed(text: str) -> list[list[str]]:
    """The commands of a few lines of shell, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in (shlex.split(line, comments=True) for line in lines) if line]


def sections(name: str) -> dict[str, str]:
    """The text of each section of an example, as a page shows it."""
    text = (EXAMPLES / name).read_text()
    return dict(re.findall(r"\[start:(\w+)\]\n(.*?)# --8<-- \[end", text, flags=re.DOTALL))


def run(command: list[str]) -> None:
    """One command of `ovsam`, which is to succeed."""
    program, *arguments = command
    assert program == "ovsam"
    arguments = [str(Path(a).expanduser()) if a.startswith("~") else a for a in arguments]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert done.exit_code == 0, f"{shlex.join(command)}\n{done.output}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder with the folders, files and the dataset that the pages speak of."""
    home = tmp_path_factory.mktemp("home")
    import skimage

    source = Path(skimage.__file__).parent / "data"
    for folder in (home / "photos", home / "coco" / "val2017"):
        folder.mkdir(parents=True)
        for name in BOXES:
            with Image.open(source / name) as image:
                image.convert("RGB").resize(SIZES[name]).save(folder / name)
    with Image.open(source / "chelsea.png") as image:
        image.convert("RGB").save(home / "cat.jpg")
    (home / "instances_val2017.json").write_text(json.dumps(truth()))
    dataset = fo.Dataset("my-dataset")
    for name, (label, (x, y, w, h)) in BOXES.items():
        width, height = SIZES[name]
        box = [x / width, y / height, w / width, h / height]
        mask = np.ones((h, w), dtype=bool)
        thing = fo.Detection(label=label, bounding_box=box, mask=mask)
        middle = [box[0] + box[2] / 2, box[1] + box[3] / 2]
        dataset.add_sample(
            fo.Sample(
                filepath=str(home / "photos" / name),
                ground_truth=fo.Detections(detections=[thing]),
                clicks=fo.Keypoints(keypoints=[fo.Keypoint(label=label, points=[middle])]),
            )
        )
    dataset.compute_metadata(num_workers=1, progress=False)
    yield home
    dataset.delete()
    for folder in (home / "photos", home / "coco" / "val2017"):
        fo.delete_dataset(import_images(folder).name)


def truth() -> dict[str, Any]:
    """A COCO file of the two photographs."""
    names = sorted({name for name, _ in BOXES.values()})
    images, annotations = [], []
    for number, (file, (name, (x, y, w, h))) in enumerate(BOXES.items(), start=1):
        width, height = SIZES[file]
        images.append({"id": number, "file_name": file, "width": width, "height": height})
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        annotations.append(
            {"id": number, "image_id": number, "category_id": names.index(name) + 1,
             "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "segmentation": [corners]}
        )  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, being in it."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return home


# In the order of the pages: what is labelled on one is searched and evaluated on another.
@pytest.mark.parametrize("name", ["label.sh", "curate.sh", "segment.sh", "evaluate.sh"])
def test_commands_do_what_their_page_says(name: str, at_home: Path, labelled_once: None) -> None:
    for command in commands(name):
        run(command)
    written = {
        "label.sh": ["sheet.png", "preds.json"],
        "evaluate.sh": ["report/report.html", "report/report.md"],
    }
    for file in written.get(name, []):
        assert (at_home / file).stat().st_size > 0


@pytest.mark.parametrize("name", ["label.py", "zoo.py", "segment.py", "curate.py", "evaluate.py"])
def test_python_does_what_its_page_says(name: str, at_home: Path, labelled_once: None) -> None:
    source = (EXAMPLES / name).read_text()
    names: dict[str, Any] = {}
    exec(compile(source, name, "exec"), names)
    if name == "label.py":
        assert names["dataset"].count("by_click.detections") == len(BOXES)
    if name == "curate.py":
        assert names["dataset"].count_values("ovsam.detections.review")["accepted"] == 1
    if name == "evaluate.py":
        assert 0 <= names["results"].metrics()["accuracy"] <= 1


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebook = json.loads((ROOT / "docs" / "first-steps.ipynb").read_text())
    names: dict[str, Any] = {}
    try:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [], "clear the outputs"
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        assert capsys.readouterr().out.count("cat") >= 3
        assert names["dataset"].count_values("ovsam.detections.review")["accepted"] == 1
    finally:
        names["dataset"].delete()


@pytest.fixture(scope="module")
def labelled_once(home: Path) -> None:
    """`my-dataset` with the fields that the pages after the first speak of."""
    from ovsam_plugin import label_dataset

    dataset = fo.load_dataset("my-dataset")
    settings: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
    label_dataset(dataset, vocabulary="coco", **settings)
    label_dataset(
        dataset, vocabulary="coco", label_field="ovsam_boxes", box_field="ground_truth", **settings
    )


def test_commands_that_fetch_or_work_for_hours_are_read_as_the_pages_write_them() -> None:
    """Their options are those of the command, their values of the right kind."""
    root = typer.main.get_command(app)
    read = 0
    for _, *arguments in commands("long.sh"):
        command: Any = root
        while hasattr(command, "commands"):
            name, *arguments = arguments
            assert name in command.commands, name
            command = command.commands[name]
        with command.make_context(name, arguments):
            read += 1
    assert read > 10


def test_every_example_is_on_a_page_and_every_page_in_the_menu() -> None:
    pages = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
    all_text = "\n".join(pages.values())
    for path in EXAMPLES.iterdir():
        shown = sections(path.name)
        assert shown, path.name
        for section in shown:
            assert f'--8<-- "docs/examples/{path.name}:{section}"' in all_text, (path.name, section)
    menu = (ROOT / "mkdocs.yml").read_text()
    assert not [name for name in pages if f": {name}\n" not in menu]


def test_the_tutorial_leads_from_photographs_to_ground_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that its page shows, in the page's order, on three of its photographs."""
    monkeypatch.chdir(tmp_path)
    three = partial(demo.photographs, ("chelsea.png", "coffee.png", "rocket.jpg"))
    monkeypatch.setattr(demo, "photographs", three)
    page = (ROOT / "docs" / "tutorial.md").read_text()
    steps = re.findall(r'docs/examples/(tutorial\.\w+):(\w+)"', page)
    assert [section for _, section in steps] == [
        "photographs", "label", "search", "score", "decide", "export", "evaluate",
    ]  # fmt: skip
    names: dict[str, Any] = {}
    try:
        for file, section in steps:
            source = sections(file)[section]
            if file.endswith(".py"):
                exec(compile(source, section, "exec"), names)
            else:
                for command in parsed(source):
                    run(command)
    finally:
        fo.delete_dataset("tutorial")
    truth = json.loads(Path("ground-truth.json").read_text())
    classes = {each["id"]: each["name"] for each in truth["categories"]}
    kept = {classes[each["category_id"]] for each in truth["annotations"]}
    assert {"cat", "cup", "rocket"} <= kept
    assert len(truth["images"]) == 3
    assert {each["provenance"]["reviewed_by"] for each in truth["annotations"]} == {"you"}
    assert Path("sheet.png").stat().st_size > 0


def test_what_a_newcomer_types_first_is_there() -> None:
    targets = [line[1] for line in commands("start.sh") if line[0] == "make"]
    assert targets == ["demo", "app", "test"]
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)


def test_the_readme_s_commands_and_python_are_those_of_the_examples() -> None:
    text = (ROOT / "README.md").read_text()
    known = [command for path in EXAMPLES.glob("*.sh") for command in commands(path.name)]
    python = [text for path in EXAMPLES.glob("*.py") for text in sections(path.name).values()]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    for language, block in blocks:
        if language == "python":
            assert block in python
        else:
            assert not [command for command in parsed(block) if command not in known]


@pytest.mark.parametrize("step", ["Label", "Look", "Decide", "Click", "Evaluate"])
def test_each_step_of_the_readme_has_its_command_and_its_picture(step: str) -> None:
    _, after = (ROOT / "README.md").read_text().split(f"\n## {step}\n")
    section = after.split("\n## ")[0]
    assert "\novsam " in section
    assert "](docs/" in section
    assert re.search(r"!\[[^]]+\]\(docs/\w+\.(jpg|webp)\)", section)


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(links) > 10
    for link in links:
        path, _, anchor = link.partition("#")
        target = ROOT / path if path else ROOT / "README.md"
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.MULTILINE)
            assert anchor in {h.lower().replace(",", "").replace(" ", "-") for h in headings}, link
