"""Memory that large tensors leave is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

WORK = """
import resource
from ovsam_plugin.hardware.allocation import keep_freed_memory
{first}
def work():
    for _ in range(10):
        b"x" * 40_000_000
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
work()
print(faults() - before)
"""


def page_faults(first: str) -> int:
    """Of ten times 40 MB, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(first=first)], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_pages_are_cleared_once_and_not_for_every_array() -> None:
    usual, kept = page_faults(""), page_faults("keep_freed_memory()")
    if platform.libc_ver()[0] == "glibc":
        assert kept < usual / 3


def test_cycles_are_looked_for_seldom() -> None:
    def looks(first: str) -> int:
        """While a process makes objects that stay."""
        code = f"""
import gc
from ovsam_plugin.hardware.allocation import collect_seldom
{first}
before = sum(each["collections"] for each in gc.get_stats())
kept = [[] for _ in range(200_000)]
print(sum(each["collections"] for each in gc.get_stats()) - before)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    assert 0 < looks("collect_seldom()") < looks("") / 20
