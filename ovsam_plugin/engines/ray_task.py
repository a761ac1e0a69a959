"""What a Ray worker does. It reads this file first, so nothing large is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ovsam_plugin.hardware.allocation import collect_seldom, keep_freed_memory

if TYPE_CHECKING:
    from ovsam_plugin.dataset.label_tally import LabelTally


def begin() -> None:
    """Sets this process up for labelling, and imports what labels; at once where that is done."""
    collect_seldom()
    keep_freed_memory()
    import_module("ovsam_plugin.dataset.share")


def label(told: Sequence[Any], ids: Sequence[str]) -> LabelTally:
    """Labels some samples.

    Args:
        told: Ray's reference to the share, alone in a list: Ray itself would read the share, and
            with it import all that labels, before this process is set up for that.
        ids: of the samples.
    """
    begin()
    import ray

    share = ray.get(told[0])
    return share.label(ids, "auto", together=_together(ray))  # type: ignore[no-any-return]


def _together(ray: Any) -> int:
    """How many such workers this machine has room for, as Ray counts it."""
    here = ray.get_runtime_context()
    (has,) = [node["Resources"] for node in ray.nodes() if node["NodeID"] == here.get_node_id()]
    takes = here.get_assigned_resources()
    return int(min((has[name] / amount for name, amount in takes.items() if amount), default=1))
