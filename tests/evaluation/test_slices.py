"""Photographs grouped by what their samples say."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.evaluation.slices import MOST, NONE, OTHERS, grouped, slices_of


def test_numbers_of_many_values_are_cut_into_quarters_and_few_stay_apart() -> None:
    found = grouped({i: float(v) for i, v in enumerate([8, 1, 2, 3, 4, 5, 6, 7])})
    assert found == {
        "1 to 2.75": (1, 2), "2.75 to 4.5": (3, 4), "4.5 to 6.25": (5, 6), "6.25 to 8": (0, 7),
    }  # fmt: skip
    assert grouped({0: 10, 1: 2, 2: 10}) == {"2": (1,), "10": (0, 2)}
    assert grouped({}) == {}


def test_numbers_have_as_many_digits_as_tell_them_apart() -> None:
    assert grouped({0: 10000001, 1: 10000002}) == {"10000001": (0,), "10000002": (1,)}
    assert grouped({0: 0.12345678, 1: 0.12345679}).keys() == {"0.12345678", "0.12345679"}
    assert grouped({0: 0.25, 1: 1000000.0, 2: 2 / 3}).keys() == {"0.25", "1000000", "0.666667"}
    times = [1700000000 + 600 * i for i in range(9)]
    assert list(grouped(dict(enumerate(times)))) == [
        "1700000000 to 1700001200", "1700001200 to 1700002400", "1700002400 to 1700003600",
        "1700003600 to 1700004800",
    ]  # fmt: skip


def test_a_photograph_is_in_the_group_of_each_of_its_names_or_of_none() -> None:
    found = grouped({0: ("sun", "sea"), 1: ("sea",), 2: ()})
    assert found == {"sea": (0, 1), "sun": (0,), NONE: (2,)}


def test_rare_groups_are_put_together() -> None:
    names = {i: (f"n{min(i // 2, MOST)}",) for i in range(40)}
    found = grouped(names | {40: ("alone",), 41: ("too",)})
    assert len(found) == MOST
    assert {40, 41} <= set(found[OTHERS])
    assert sorted(i for some in found.values() for i in some) == list(range(42))


def test_fields_of_samples_give_the_groups(dataset: fo.Dataset) -> None:
    dataset.compute_metadata(num_workers=1, progress=False)
    first, second, third = dataset
    ids = [sample.id for sample in (third, first, second)]
    first["weather"], second["weather"] = (fo.Classification(label=n) for n in ("sun", "rain"))
    first.tags, second.tags = ["a", "b"], ["b"]
    first["night"], third["night"] = True, False
    first["place"] = fo.GeoLocation(point=[1.0, 2.0])
    for sample in (first, second, third):
        sample.save()
    found = slices_of(dataset, ["weather", "weather.label", "tags", "night"], ids)
    assert found["weather"] == {"rain": (2,), "sun": (1,), NONE: (0,)}
    assert found["weather.label"] == found["weather"]
    assert found["tags"] == {"a": (1,), "b": (1, 2), NONE: (0,)}
    assert found["night"] == {"false": (0,), "true": (1,), NONE: (2,)}
    wide = slices_of(dataset, ["metadata.width"], ids)["metadata.width"]
    assert sorted(i for some in wide.values() for i in some) == [0, 1, 2]
    with pytest.raises(ValueError, match="no field 'wether' to slice by: .*weather"):
        slices_of(dataset, ["wether"], ids)
    with pytest.raises(ValueError, match="'place' holds GeoLocation"):
        slices_of(dataset, ["place"], ids)


def test_two_samples_of_one_file_are_in_the_groups_of_each(dataset: fo.Dataset) -> None:
    first = dataset.first()
    again = fo.Sample(filepath=first.filepath, tags=["y"])
    first.tags = ["x"]
    first.save()
    dataset.add_sample(again)
    assert slices_of(dataset, ["tags"], [first.id, again.id])["tags"] == {"x": (0,), "y": (1,)}
