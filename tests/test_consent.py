"""Messages that say what the caller may allow, spelled for who reads them."""

from __future__ import annotations

import pickle

from ovsam_plugin.consent import OVERWRITE, OVERWRITE_ALL, ConsentError

ERROR = ConsentError("field 'overwrite=True' exists", "use another field", OVERWRITE_ALL)


def test_a_message_is_spelled_for_python_and_by_whoever_asks() -> None:
    told = "field 'overwrite=True' exists: use another field"
    assert str(ERROR) == f'{told}, or pass overwrite="all"'
    assert str(ConsentError("a", "b", OVERWRITE)) == "a: b, or pass overwrite=True"
    # A name that looks like a setting stays as it is.
    assert ERROR.spelled(lambda setting: f"use {setting.value}") == f"{told}, or use all"


def test_who_cannot_consent_is_told_what_to_do_instead_alone() -> None:
    assert ERROR.spelled(lambda setting: None) == "field 'overwrite=True' exists: use another field"


def test_it_comes_whole_from_another_process() -> None:
    back = pickle.loads(pickle.dumps(ERROR))
    assert (str(back), back.setting) == (str(ERROR), ERROR.setting)
