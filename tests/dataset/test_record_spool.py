"""Records that wait on disk."""

from __future__ import annotations

import resource
import tempfile
from contextlib import closing
from pathlib import Path

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


def test_a_disk_without_room_is_told_with_the_folder_where_records_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(RecordSpool()) as spool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(OSError, match="TMPDIR") as told:
                spool.append("x" * 2000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told.value.filename == str(tmp_path)
