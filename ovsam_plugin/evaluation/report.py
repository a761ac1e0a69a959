"""An evaluation as a page to read: Markdown with pictures beside it, and one HTML file."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from ovsam_plugin.dataset.contact_sheet import SheetTile, TileInstance, draw_sheet
from ovsam_plugin.evaluation.charts import (
    classes_chart,
    confusions_chart,
    groups_chart,
    reliability_chart,
)
from ovsam_plugin.evaluation.figures import Figures, compared, percent, tables
from ovsam_plugin.evaluation.metrics import (
    confusions,
    reliability,
    worst_classes,
    worst_images,
)
from ovsam_plugin.evaluation.protocols import PAIRED
from ovsam_plugin.evaluation.results import Evaluated, MethodResult
from ovsam_plugin.files import draft_of, whole_file
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.images.reading import ImageError, read_image
from ovsam_plugin.markdown import plain

_WORST_IMAGES = 9
_TILE = 480  # pixels
_PROBLEMS = 50
_ASKED = (
    "Every instance is a prompt for its own answer, so average precision is that of answers "
    "to true prompts."
)
_PAIRED_UP = (
    "The most certain answers come first, and each takes the instance that it overlaps most, if "
    "their IoU is at least {:g}; an instance that none takes counts as IoU 0 and a wrong name."
)


@dataclass(frozen=True)
class ReportPicture:
    """A picture of the report: its file's name, its title, and PNG or JPEG bytes."""

    name: str
    title: str
    content: bytes

    @property
    def uri(self) -> str:
        """The picture itself as an address, for a page without files beside it."""
        kind = "jpeg" if self.name.endswith(".jpg") else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True)
class Section:
    """One method's part of the report."""

    name: str
    pictures: tuple[ReportPicture, ...]


def write_report(evaluated: Evaluated, folder: str | Path) -> Path:
    """Write `report.md`, its pictures, and `report.html`, which needs no other file.

    Args:
        evaluated: of `Evaluation.run` or `evaluate_dataset`.
        folder: made where it is missing; a report that is there is replaced.

    Returns:
        The HTML page.
    """
    folder = Path(folder).expanduser()
    found, beside = compared(evaluated)
    sections = [
        Section(method.name, tuple(_pictures(evaluated, method, one, f"{i}-")))
        for i, (method, one) in enumerate(zip(evaluated.methods, found))
    ]
    for section in sections:
        for picture in section.pictures:
            with draft_of(folder / picture.name) as draft:
                draft.write_bytes(picture.content)
    facts = {
        "summary": _summary(evaluated),
        "notes": evaluated.notes,
        "asked": evaluated.asked,
        "tables": tables(found, beside),
        "sections": sections,
        "problems": evaluated.problems[:_PROBLEMS],
        "more_problems": max(len(evaluated.problems) - _PROBLEMS, 0),
    }
    environment = jinja2.Environment(finalize=plain, trim_blocks=True, lstrip_blocks=True)
    with whole_file(folder / "report.md") as file:
        file.write(environment.from_string(_MARKDOWN).render(**facts))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = folder / "report.html"
    with whole_file(page) as file:
        file.write(environment.from_string(_HTML).render(**facts))
    return page


def _summary(evaluated: Evaluated) -> str:
    count = len(evaluated.methods[0].outcomes)
    pairing = _ASKED if evaluated.protocol in PAIRED else _PAIRED_UP.format(evaluated.min_iou)
    return (
        f"{count:,} instances on {len(evaluated.paths):,} images, protocol {evaluated.protocol}, "
        f"{len(evaluated.vocabulary):,} names of {evaluated.vocabulary.name}. "
        "IoU is of masks at the image's own size, whatever the name; Acc is the share of instances "
        f"with the right name; both are means over instances. {pairing} "
        "Surplus answers belong to no instance."
    )


def _pictures(
    evaluated: Evaluated, method: MethodResult, found: Figures, prefix: str
) -> Iterator[ReportPicture]:
    outcomes, vocabulary = method.outcomes, evaluated.vocabulary
    if not len(outcomes):
        return
    yield ReportPicture(f"{prefix}size.png", "By size", groups_chart(found.sizes, method.named))
    if found.frequencies:
        chart = groups_chart(found.frequencies, method.named)
        yield ReportPicture(f"{prefix}frequency.png", "By frequency", chart)
    if method.named:
        chart = reliability_chart(reliability(outcomes))
        yield ReportPicture(f"{prefix}reliability.png", "How far confidence can be trusted", chart)
        chart = classes_chart(worst_classes(outcomes, vocabulary))
        yield ReportPicture(f"{prefix}classes.png", "Worst classes", chart)
        pairs = confusions(outcomes, vocabulary, method.others)
        if pairs:
            chart = confusions_chart(pairs)
            yield ReportPicture(f"{prefix}confusions.png", "Most confused: true → answered", chart)
    sheet = draw_sheet(_tiles(evaluated, method), tile_size=_TILE)
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=85)
    yield ReportPicture(f"{prefix}worst.jpg", "Worst images, as answered", buffer.getvalue())


def _tiles(evaluated: Evaluated, method: MethodResult) -> Iterator[SheetTile]:
    """The worst images with what was answered on them."""
    chosen = worst_images(method.outcomes, _WORST_IMAGES)
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in method.rows:
        rows[row["image_id"] - 1].append(row)
    for index in chosen:
        path, names = evaluated.paths[index], evaluated.vocabulary.names
        here = method.outcomes[method.outcomes.image == index]
        right = int(here.right.sum())
        note = f"{right} of {len(here)} right, IoU {percent(float(here.iou.mean()))}"
        try:
            image = read_image(path)
        except ImageError as error:
            yield SheetTile(path.name, None, note=str(error))
            continue
        answers = sorted(rows[index], key=lambda row: -row["score"])
        instances = tuple(
            _instance(row, f"{names[row['category_id'] - 1]} {row['score']:.2f}") for row in answers
        )
        yield SheetTile(path.name, image, instances, note)


def _instance(row: dict[str, Any], name: str) -> TileInstance:
    return TileInstance(MaskCrop.of_segmentation(row["segmentation"]), name)


_MARKDOWN = """\
# Evaluation

{{ summary }}

{% for note in notes %}
{{ note }}

{% endfor %}
{% for name, value in asked.items() %}
- {{ name }}: {{ value }}
{% endfor %}

{% for table in tables %}
## {{ table.title }}

{{ table.markdown }}

{% endfor %}
{% for section in sections %}
## {{ section.name }}

{% for picture in section.pictures %}
### {{ picture.title }}

![{{ picture.title }}]({{ picture.name }})

{% endfor %}
{% endfor %}
{% if problems %}
## Left out

{% for problem in problems %}
- {{ problem }}
{% endfor %}
{% if more_problems %}
- and {{ more_problems }} more
{% endif %}
{% endif %}
"""

_HTML = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #20242c; max-width: 72rem;
       margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #e3e6ec; }
th:first-child, td:first-child { text-align: left; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .3rem; }
img { max-width: 100%; height: auto; }
</style>
<h1>Evaluation</h1>
<p>{{ summary }}</p>
{% for note in notes %}
<p>{{ note }}</p>
{% endfor %}
{% if asked %}
<ul>
{% for name, value in asked.items() %}
<li>{{ name }}: {{ value }}</li>
{% endfor %}
</ul>
{% endif %}
{% for table in tables %}
<h2>{{ table.title }}</h2>
<table>
<tr>{% for head in table.header %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in table.rows %}
<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endfor %}
{% for section in sections %}
<h2>{{ section.name }}</h2>
<div class="pictures">
{% for picture in section.pictures %}
<figure><figcaption>{{ picture.title }}</figcaption>
<img alt="{{ picture.title }}" src="{{ picture.uri }}"></figure>
{% endfor %}
</div>
{% endfor %}
{% if problems %}
<h2>Left out</h2>
<ul>
{% for problem in problems %}
<li>{{ problem }}</li>
{% endfor %}
{% if more_problems %}
<li>and {{ more_problems }} more</li>
{% endif %}
</ul>
{% endif %}
</html>
"""
