"""Who labels besides the process that asks: a row for each engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ovsam_plugin.engines.engine import LabelingEngine


def _local(devices: str | Sequence[str] | None = None) -> LabelingEngine | None:
    """A process for each of several devices of this machine."""
    if devices is None:
        return None
    from ovsam_plugin.engines.devices import DeviceEngine, devices_named

    return DeviceEngine(devices_named(devices))


def _ray(address: str | None = None, worker_gpus: float | None = None) -> LabelingEngine:
    """A Ray cluster."""
    from ovsam_plugin.engines.cluster import RayEngine

    return RayEngine(address, worker_gpus)


# By its name: what makes it, and which settings are its own.
_ENGINES: Mapping[str, tuple[Callable[..., LabelingEngine | None], tuple[str, ...]]] = {
    "local": (_local, ("devices",)),
    "ray": (_ray, ("address", "worker_gpus")),
}


def labeling_engine(name: str, **settings: Any) -> LabelingEngine | None:
    """An engine by its name; None where nobody is to help.

    Args:
        name: "local" or "ray".
        **settings: of any engine; None where not given.

    Raises:
        ValueError: there is no such engine, it is not installed, or the settings are another's.
    """
    if name not in _ENGINES:
        raise ValueError(f"engine is {' or '.join(map(repr, _ENGINES))}, got {name!r}")
    given = {key: value for key, value in settings.items() if value is not None}
    mine = set(_ENGINES[name][1])
    for other, (_, own) in _ENGINES.items():
        if foreign := sorted(given.keys() & set(own) - mine):
            verb = "is" if len(foreign) == 1 else "are"
            raise ValueError(f"{' and '.join(foreign)} {verb} for engine {other!r}, not {name!r}")
    return _ENGINES[name][0](**given)
