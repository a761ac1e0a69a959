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
    def label(self, ids, device, together):
        return ids, device, together

class Here:
    def get_node_id(self):
        return "this"

    def get_assigned_resources(self):
        return {"CPU": 1.0, "GPU": 0.5}

def get(reference):
    print(reference, gc.get_threshold() > given_first, "torch" in sys.modules)
    return Share()

def nodes():
    this = {"NodeID": "this", "Resources": {"CPU": 16.0, "GPU": 2.0, "memory": 1e9}}
    return [{"NodeID": "other", "Resources": {"CPU": 1.0}}, this]

sys.modules["ray"] = SimpleNamespace(
    get=get, nodes=nodes, get_runtime_context=Here, __spec__=None
)
print(label(["the share"], ["a", "b"]))
"""


def test_a_worker_is_set_up_before_it_reads_its_share_and_imports_what_labels() -> None:
    begun = subprocess.run(
        [sys.executable, "-c", BEGINNING], capture_output=True, text=True, check=True
    )
    assert begun.stdout.splitlines() == ["[]", "the share True True", "(['a', 'b'], 'auto', 4)"]
