"""How a worker of a cluster begins."""

from __future__ import annotations

import subprocess
import sys

BEGINNING = """
import gc, sys
from types import SimpleNamespace

given_first = gc.get_threshold()
from ovsam_plugin.engines.ray_task import label
print(sorted({"torch", "fiftyone", "ray"} & sys.modules.keys()))

class Share:
    def label(self, ids, device):
        return ids, device

def get(reference):
    print(reference, gc.get_threshold() > given_first, "torch" in sys.modules)
    return Share()

sys.modules["ray"] = SimpleNamespace(get=get, __spec__=None)
print(label(["the share"], ["a", "b"]))
"""


def test_a_worker_is_set_up_before_it_reads_its_share_and_imports_what_labels() -> None:
    begun = subprocess.run(
        [sys.executable, "-c", BEGINNING], capture_output=True, text=True, check=True
    )
    assert begun.stdout.splitlines() == ["[]", "the share True True", "(['a', 'b'], 'auto')"]
