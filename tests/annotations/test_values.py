"""Ids, numbers and flags as tools write them."""

from __future__ import annotations

from typing import Any

import pytest

from ovsam_plugin.annotations.values import flag, id_key, number, read_id, text, whole

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (3, 3), (3.0, 3), ("3", 3), ("3.0", 3), (" 3 ", 3), (0, 0), ("0", 0), (-1, -1),
        ("007", "007"), ("img_3", "img_3"), ("3.5", "3.5"), (2**70, 2**70),
        (3.5, None), (NAN, None), (INF, None), (None, None), (True, None), ("", None), ([3], None),
    ],
)  # fmt: skip
def test_one_id_has_one_key_however_it_is_spelled(written: Any, key: Any) -> None:
    assert id_key(written) == key
    assert type(id_key(written)) is type(key)


def test_an_id_is_given_back_as_it_is_spelled() -> None:
    assert [read_id(i) for i in (3, 3.0, "3", "3.0", "a")] == [3, 3, "3", "3.0", "a"]
    assert read_id("caf\udce9") == "caf%E9"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, False), (0, False), (0.0, False), ("0", False), ("", False), (False, False),
        ("false", False), (NAN, False), (1, True), (1.0, True), ("1", True), (True, True),
        ("True", True), ("perhaps", None), (2, None), ([], None),
    ],
)  # fmt: skip
def test_a_flag_is_yes_or_no_or_neither(written: Any, read: bool | None) -> None:
    assert flag(written) is read


def test_numbers_are_finite_and_not_truth_values() -> None:
    assert [number(v) for v in (1, "1.5", " 2 ", -3.0)] == [1.0, 1.5, 2.0, -3.0]
    assert [number(v) for v in (NAN, "nan", INF, "x", "", None, True, [1], 10**400)] == [None] * 9
    assert [whole(v) for v in ("640", 640.0, 640.5)] == [640, 640, None]


def test_text_is_what_a_database_takes() -> None:
    assert [text(v) for v in ("Zo\u00eb", "Zo\udceb", "", 3, None, "\ud800x", "\udce9\ud800")] == [
        "Zo\u00eb", "Zo\u00eb", "", None, None, None, None,
    ]  # fmt: skip
