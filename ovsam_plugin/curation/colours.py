"""How the App colours a run's field; the colours of other fields stay as they are."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import fiftyone as fo

from ovsam_plugin.dataset.internals import attributes_of

ColourBy: TypeAlias = Literal["label", "review"]
COLOURS_BY: tuple[ColourBy, ...] = get_args(ColourBy)

_DECISIONS = {"accepted": "#2ca02c", "renamed": "#1f77b4", "rejected": "#d62728"}


def check_colour_by(by: str) -> ColourBy:
    """The way to colour of that name.

    Raises:
        ValueError: there is none.
    """
    for known in COLOURS_BY:
        if by == known:
            return known
    raise ValueError(f"labels cannot be coloured by {by!r}: choose one of {', '.join(COLOURS_BY)}")


def add_colours(dataset: fo.Dataset, field: str, by: ColourBy) -> dict[str, bool]:
    """Colours a field by a value of its labels.

    Args:
        dataset: its `app_config` is saved.
        field: the label field. An entry of that field is replaced.
        by: the label, or the review state: accepted green, renamed blue, rejected red.

    Returns:
        What `remove_colours` needs: which settings there were none of before.
    """
    scheme = dataset.app_config.color_scheme
    made = {
        "scheme": scheme is None,
        "mode": scheme is None or scheme.color_by is None,
        "fields": scheme is None or scheme.fields is None,
    }
    if scheme is None:
        scheme = dataset.app_config.color_scheme = fo.ColorScheme()
    if scheme.color_by is None:
        scheme.color_by = "value"
    values = {"label": {}, "review": _DECISIONS}[by]
    entry: dict[str, Any] = {
        "path": field,
        "colorByAttribute": by,
        "valueColors": [{"value": value, "color": colour} for value, colour in values.items()],
    }
    scheme.fields = [*(e for e in scheme.fields or [] if e["path"] != field), entry]
    dataset.save()
    return made


def shown_colours(dataset: fo.Dataset) -> dict[str, Any]:
    """The colour scheme as the App's operator `set_color_scheme` takes it."""
    scheme = dataset.app_config.color_scheme
    if scheme is None:
        return {}
    shown = {
        "color_by": scheme.color_by,
        "color_pool": list(scheme.color_pool or []) or None,
        "opacity": scheme.opacity,
        "fields": scheme.fields,
    }
    return {name: value for name, value in shown.items() if value is not None}


def has_colours(dataset: fo.Dataset, field: str) -> bool:
    """Whether the field has an entry in the colour scheme."""
    scheme = dataset.app_config.color_scheme
    return scheme is not None and any(e["path"] == field for e in scheme.fields or [])


def remove_colours(dataset: fo.Dataset, field: str, made: dict[str, bool], *, last: bool) -> None:
    """Undoes `add_colours`; what a person has changed since stays.

    Args:
        dataset: its `app_config` is saved.
        field: the label field.
        made: what `add_colours` gave.
        last: whether no other run's field is coloured by value, so that the mode can go too.
    """
    scheme = dataset.app_config.color_scheme
    if scheme is None:
        return
    kept = [e for e in scheme.fields or [] if e["path"] != field]
    scheme.fields = kept or (None if made["fields"] else [])
    if last and made["mode"] and scheme.color_by == "value":
        scheme.color_by = None
    if last and made["scheme"] and _says_nothing(scheme):
        dataset.app_config.color_scheme = None
    dataset.save()


def _says_nothing(scheme: fo.ColorScheme) -> bool:
    return all(scheme[name] is None for name in attributes_of(scheme) if name not in _OWN)


_OWN = ("id", "_cls")
