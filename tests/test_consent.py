"""Messages that say what the caller may allow, spelled for who reads them."""

from __future__ import annotations

import pickle

from ovsam_plugin.consent import OVERWRITE, OVERWRITE_ALL, ConsentError

ERROR = ConsentError("field 'overwrite=True' is there: use ", OVERWRITE, " or ", OVERWRITE_ALL)


def test_a_message_is_spelled_for_python_and_by_whoever_asks() -> None:
    expected = "field 'overwrite=True' is there: use overwrite=True or overwrite=\"all\""
    assert str(ERROR) == expected
    # A name that looks like a setting stays as it is.
    assert ERROR.spelled(lambda each: each.name.upper()).count("OVERWRITE") == 2
    assert "'overwrite=True' is there" in ERROR.spelled(lambda each: "?")


def test_it_comes_whole_from_another_process() -> None:
    back = pickle.loads(pickle.dumps(ERROR))
    assert (str(back), back.parts) == (str(ERROR), ERROR.parts)
