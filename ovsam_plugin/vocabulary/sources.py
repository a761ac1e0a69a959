"""Where a vocabulary comes from: a built-in name, a list of names, or a file.

Formats:

- comma list, `"cat, dog, fire hydrant"`: one class each; `|` gives synonyms ("cat|kitty, dog").
- `.txt`: one class a line, `|` as above; blank lines and lines that start with `#` do not count.
- `.csv`: a header with `name`, and if wanted `synonyms`, `split`, `frequency`, `id`; in a synonyms
  cell `|` or `,` separates (quote a cell that holds commas).
- `.json`: a list of names; a list of objects with the CSV's fields (synonyms a list); or an object
  with `categories`, which a COCO or LVIS annotation file is, of such objects.

Names are kept as written (Unicode NFC, white space collapsed), so that they equal the labels of
the data set they came from; the text tower reads them, and the synonyms after them, with
underscores as spaces and emoji by name. Names that differ only in case, spaces, `_` or `-` are
merged into the first with a warning, unless their split, frequency or id disagree.
"""

from __future__ import annotations

import csv
import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ovsam_plugin.vocabulary.names import clean_name, name_key
from ovsam_plugin.vocabulary.tables import BUILT_IN, built_in, texts
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

FIELDS = ("name", "synonyms", "split", "frequency", "id")
SUFFIXES = (".txt", ".csv", ".json")


def load_vocabulary(spec: str | Path | Sequence[str] | Vocabulary) -> Vocabulary:
    """A vocabulary from whatever names one.

    Args:
        spec: "coco", "lvis", "imagenet-1k", "imagenet-21k", "open-22k"; the path of a .txt, .csv
            or .json file (see above); names separated by commas (one name alone ends in a comma:
            "cat,"); a list of names; or a vocabulary, which comes back as it is.

    Raises:
        TypeError: none of these, or a name that is not a string.
        ValueError: an unknown name, a missing or unreadable file, no class, an empty, overlong or
            contradictory name.
    """
    if isinstance(spec, Vocabulary):
        return spec
    if isinstance(spec, Path):
        return _from_file(spec)
    if isinstance(spec, str):
        return _from_string(spec)
    if isinstance(spec, Iterable) and not isinstance(spec, (bytes, Mapping)):
        rows = [{"name": name} for name in spec]
        return Vocabulary("custom", _categories(rows, "the list of names"))
    raise TypeError(
        f"a vocabulary is {_allowed()}; or a list of names; got {type(spec).__name__} {spec!r:.60}"
    )


def _allowed() -> str:
    return (
        f"one of {', '.join(BUILT_IN)}; the path of a {', '.join(SUFFIXES)} file; "
        'names separated by commas ("cat, dog", or "cat," for one)'
    )


def _from_string(spec: str) -> Vocabulary:
    if spec.strip().lower() in BUILT_IN:
        return built_in(spec.strip().lower())
    lines = "\n" in spec
    if not lines and (spec.strip().lower().endswith(SUFFIXES) or is_file(spec)):
        return _from_file(Path(spec.strip()))
    if "," in spec:
        entries = spec.split(",")
        if len(entries) > 1 and not entries[-1].strip():
            entries.pop()
        return Vocabulary("custom", _categories(map(_piped, entries), "the comma list"))
    if not spec.strip():
        raise ValueError(f"the vocabulary is empty: give {_allowed()}")
    near = difflib.get_close_matches(spec.strip().lower(), BUILT_IN, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"unknown vocabulary {spec!r:.80}.{hint} Allowed: {_allowed()}")


def is_file(spec: str, folder: Path | None = None) -> bool:
    """Whether a text names a file that is there, from a folder or from where we are."""
    try:
        return (folder or Path()).joinpath(Path(spec.strip()).expanduser()).is_file()
    except (OSError, ValueError):  # a list of names longer than any path may be
        return False


def _piped(entry: str) -> dict[str, Any]:
    name, *synonyms = entry.split("|")
    return {"name": name, "synonyms": synonyms}


def _from_file(path: Path) -> Vocabulary:
    """The vocabulary in a file, named after it."""
    path = path.expanduser()
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} is not a vocabulary file: need {', '.join(SUFFIXES)}")
    if suffix == ".json":
        return Vocabulary(path.name, _categories(_json_rows(path), str(path)))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}): save it as UTF-8") from error
    except OSError as error:
        raise ValueError(f"cannot read the vocabulary {path}: {error.strerror}") from error
    rows = _txt_rows(text) if suffix == ".txt" else _csv_rows(text, path)
    return Vocabulary(path.name, _categories(rows, str(path)))


def _txt_rows(text: str) -> list[dict[str, Any]]:
    lines = (line.strip() for line in text.splitlines())
    return [_piped(line) for line in lines if line and not line.startswith("#")]


def _csv_rows(text: str, path: Path) -> list[dict[str, Any]]:
    reader = csv.DictReader(text.splitlines(), restkey="", skipinitialspace=True)
    columns = [(column or "").strip().lower() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    _check_fields(columns, f"{path}: its header")
    rows: list[dict[str, Any]] = []
    try:
        for row in reader:
            if "" in row:
                raise ValueError(
                    f"{path} line {reader.line_num} has more cells than the header: "
                    "quote a cell that holds commas"
                )
            cell = row.get("synonyms") or ""
            rows.append({**row, "synonyms": [s for s in cell.replace(",", "|").split("|") if s]})
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num} is not CSV: {error}") from error
    return rows


def _json_rows(path: Path) -> list[dict[str, Any]]:
    # Here, since the reader of annotation files cleans its class names by this package.
    from ovsam_plugin.annotations.reader import load_json

    content = load_json(path, "vocabulary")
    if isinstance(content, dict) and content.keys() & {"images", "annotations"}:
        return _annotated_rows(path)
    if isinstance(content, dict):
        if not isinstance(content.get("categories"), list):
            keys = ", ".join(map(repr, list(content)[:6])) or "nothing"
            raise ValueError(
                f"{path} holds an object without a 'categories' list (it has {keys}): give a list "
                "of names, or a COCO or LVIS annotation file with its categories"
            )
        content = content["categories"]
    if not isinstance(content, list):
        kind = type(content).__name__
        raise ValueError(f"{path} holds a {kind}: need a list of names, or of objects with 'name'")
    rows = []
    for number, entry in enumerate(content, start=1):
        if isinstance(entry, str):
            entry = {"name": entry}
        if not isinstance(entry, dict) or "name" not in entry:
            raise ValueError(
                f"{path} entry {number} is {entry!r:.60}: need a string or an object with 'name'"
            )
        synonyms = entry.get("synonyms") or []
        if not isinstance(synonyms, list) or not all(isinstance(s, str) for s in synonyms):
            raise ValueError(
                f"{path} entry {number}: synonyms must be a list of strings, got {synonyms!r:.60}"
            )
        # Annotation files carry more ("supercategory", "def", ...), which says nothing here.
        rows.append({field: entry[field] for field in FIELDS if field in entry})
    return rows


def _annotated_rows(path: Path) -> list[dict[str, Any]]:
    """The categories of a COCO or LVIS annotation file, read as everywhere."""
    from ovsam_plugin.annotations.reader import read_classes

    categories, notes = read_classes(path)
    if not categories:
        why = notes[0] if notes else "it lists none"
        raise ValueError(f"{path} holds no class name: {why}")
    return [
        {
            "name": category.name,
            "synonyms": list(category.synonyms),
            "split": category.record.get("split"),
            "frequency": category.frequency,
            "id": category.id if isinstance(category.id, int) else None,
        }
        for category in categories
    ]


def _check_fields(columns: Sequence[str], where: str) -> None:
    unknown = [column for column in columns if column not in FIELDS]
    if "name" not in columns or unknown:
        near = difflib.get_close_matches(unknown[0], FIELDS, n=1) if unknown else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{where} is {', '.join(map(repr, columns)) or 'empty'}, allowed are 'name' (needed), "
            f"{', '.join(map(repr, FIELDS[1:]))}{hint}"
        )


def _categories(rows: Iterable[Mapping[str, Any]], where: str) -> tuple[Category, ...]:
    """Checked categories, equal names merged."""
    found: dict[str, Category] = {}
    merged: list[str] = []
    for number, row in enumerate(rows, start=1):
        category = _category(row, f"entry {number} of {where}")
        first = found.setdefault(name_key(category.name), category)
        if first is category:
            continue
        for field in ("split", "frequency", "id"):
            ours, theirs = getattr(first, field), getattr(category, field)
            if None not in (ours, theirs) and ours != theirs:
                raise ValueError(
                    f"{where} has {first.name!r} twice (entry {number} again), "
                    f"with {field} {ours!r} and {theirs!r}: remove or rename one"
                )
        merged.append(category.name)
        found[name_key(category.name)] = replace(
            first,
            synonyms=texts(first.name, (*first.synonyms, *category.synonyms)),
            split=first.split or category.split,
            frequency=first.frequency or category.frequency,
            id=category.id if first.id is None else first.id,
        )
    if not found:
        raise ValueError(f"{where} holds no class name: give at least one")
    if merged:
        more = f" and {len(merged) - 5} more" if len(merged) > 5 else ""
        warnings.warn(
            f"{where} repeats {', '.join(map(repr, merged[:5]))}{more}; "
            "each was merged into the first class of that name",
            stacklevel=4,
        )
    return tuple(found.values())


def _category(row: Mapping[str, Any], where: str) -> Category:
    name = clean_name(row.get("name"), where)
    synonyms = [clean_name(s, f"a synonym in {where}") for s in row.get("synonyms") or ()]
    groups = {f: row.get(f) for f in ("split", "frequency")}
    groups = {f: v.strip() or None if isinstance(v, str) else v for f, v in groups.items()}
    number = row.get("id")
    if isinstance(number, str):
        try:
            number = int(number) if number.strip() else None
        except ValueError:
            raise ValueError(f"{where}: id {number!r} is not an integer") from None
    return Category(name, texts(name, synonyms), **cast(Any, groups), id=number)
