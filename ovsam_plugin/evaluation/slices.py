"""Groups of photographs by what a field of their samples says, to be judged apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import fiftyone as fo
import fiftyone.core.collections as foc
import numpy as np

MOST = 12
"""Groups of one field; what is rarer is put together."""

QUARTERS = 4
OTHERS, NONE = "others", "none"


def slices_of(
    samples: foc.SampleCollection, fields: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Photographs by their values, in the order of the values' names.

    Args:
        samples: a dataset or view.
        fields: of strings, truth values, numbers, tags or classifications, such as "tags",
            "metadata.width" or "weather.label". Numbers of many values are cut into quarters. A
            photograph with several tags is in the group of each.
        ids: of the samples that count: two may be of one file.

    Returns:
        By field, by group, the places of its photographs in `ids`.

    Raises:
        ValueError: there is no such field, or its values cannot be told apart.
    """
    place = {sample: i for i, sample in enumerate(ids)}
    if isinstance(fields, str):
        raise ValueError(f"slice_by is a list of fields: give [{fields!r}]")
    found = {}
    for field in fields:
        if samples.get_field(field) is None:
            raise ValueError(
                f"there is no field {field!r} to slice by: choose one of "
                f"{', '.join(sliceable(samples))}"
            )
        found_ids, values = samples.values(["id", field])
        here = {place[one]: value for one, value in zip(found_ids, values) if one in place}
        found[field] = grouped({i: _plain(field, value) for i, value in here.items()})
    return found


def sliceable(samples: foc.SampleCollection) -> list[str]:
    """Fields of the samples that `slices_of` takes."""
    fits = (fo.StringField, fo.BooleanField, fo.IntField, fo.FloatField)
    schema = samples.get_field_schema()
    plain = [name for name, field in schema.items() if isinstance(field, fits)]
    labels = [
        name
        for name, field in schema.items()
        if getattr(field, "document_type", None) in (fo.Classification, fo.Classifications)
    ]
    return sorted({"tags", *plain, *labels} - {"id", "filepath"})


def grouped(values: Mapping[int, Sequence[str] | float]) -> dict[str, tuple[int, ...]]:
    """Places by group.

    Args:
        values: by place, the names of its groups, none of them for `NONE`; or a number, whose
            quarters are the groups where there are more than four.
    """
    numbers = {i: v for i, v in values.items() if isinstance(v, (int, float))}
    names = {i: v for i, v in values.items() if not isinstance(v, (int, float))}
    distinct = sorted(set(numbers.values()))
    if len(distinct) <= QUARTERS:
        order = _written(distinct)
        names |= {i: (order[distinct.index(v)],) for i, v in numbers.items()}
    else:
        cuts = np.quantile(list(numbers.values()), np.arange(1, QUARTERS) / QUARTERS).tolist()
        order = [f"{a} to {b}" for a, b in pairwise(_written([distinct[0], *cuts, distinct[-1]]))]
        names |= {i: (order[int(np.searchsorted(cuts, v))],) for i, v in numbers.items()}
    counts = Counter(name for some in names.values() for name in some or (NONE,))
    kept = {name for name, _ in counts.most_common(MOST if len(counts) <= MOST else MOST - 1)}
    found: dict[str, list[int]] = {}
    for i in sorted(names):
        groups = {name if name in kept else OTHERS for name in names[i] or (NONE,)}
        for name in groups:
            found.setdefault(name, []).append(i)
    last = {OTHERS: 1, NONE: 2}

    def rank(name: str) -> tuple[int, int, str]:
        return last.get(name, 0), order.index(name) if name in order else 0, name

    return {name: tuple(found[name]) for name in sorted(found, key=rank)}


def _written(numbers: Sequence[float]) -> list[str]:
    """Numbers with as many digits as tell them apart, whole ones with all."""
    written: list[str] = []
    for digits in range(6, 18):
        written = [f"{int(v)}" if v == int(v) else f"{v:.{digits}g}" for v in numbers]
        if len(set(written)) == len(set(numbers)):
            break
    return written


def _plain(field: str, value: Any) -> Sequence[str] | float:
    """A value as `grouped` takes it."""
    if value is None:
        return ()
    if isinstance(value, bool):
        return (str(value).lower(),)
    if isinstance(value, (int, float)):
        return value if np.isfinite(value) else ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, fo.Classification):
        return () if value.label is None else (value.label,)
    if isinstance(value, fo.Classifications):
        return tuple(one.label for one in value.classifications if one.label)
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return tuple(dict.fromkeys(value))
    raise ValueError(
        f"field {field!r} holds {type(value).__name__}, by which photographs cannot be grouped: "
        "choose one of strings, numbers, tags or classifications"
    )
