"""What a killed process leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hardware.ending import wait_for_end

KILLED = """
import multiprocessing, os, signal, time
from torch.utils.data import DataLoader
from ovsam_plugin.hardware.orphan import end_with_parent

class Photographs:
    def __len__(self):
        return 8
    def __getitem__(self, place):
        return bytes(1_000_000)  # more than a pipe holds

loader = DataLoader(
    Photographs(), batch_size=None, num_workers=2, worker_init_fn=end_with_parent,
    multiprocessing_context="fork",
)
loaded = iter(loader)
next(loaded)
time.sleep(1)  # others wait to be taken
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no process is killed or forked there so")
def test_what_loads_for_a_process_ends_with_it(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as file:  # of a pipe, those that are left would hold the end too
        subprocess.run([sys.executable, "-c", KILLED], stdout=file)
    loading = [int(pid) for pid in said.read_text().split()]
    assert len(loading) == 2
    assert [pid for pid in loading if not wait_for_end(pid)] == []
