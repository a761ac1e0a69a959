"""Records that wait on disk."""

from __future__ import annotations

import pytest

from ovsam_plugin.dataset.record_spool import RecordSpool


def test_records_come_back_by_number_and_in_their_order_while_more_are_added() -> None:
    spool = RecordSpool()
    records = [{"name": 'Ä\n"x"'}, [1, 2.5, None], "text"]
    assert [spool.append(record) for record in records] == [0, 1, 2]
    assert len(spool) == 3
    assert spool[1] == records[1]
    assert spool.append("last") == 3  # though something was read in between
    assert list(spool) == [*records, "last"]
    assert spool[0] == records[0]
    spool.close()


def test_what_json_cannot_hold_is_refused() -> None:
    spool = RecordSpool()
    with pytest.raises(ValueError):
        spool.append(float("nan"))
    spool.close()


def test_a_closed_spool_has_forgotten_its_records() -> None:
    spool = RecordSpool()
    spool.append(1)
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        _ = spool[0]
