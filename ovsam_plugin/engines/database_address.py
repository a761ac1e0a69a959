"""The database that workers elsewhere are to use."""

from __future__ import annotations

from fiftyone import config

from ovsam_plugin.dataset.internals import database


def database_address() -> str:
    """What FIFTYONE_DATABASE_URI must be for a process that is to use this one's database."""
    if config.database_uri:
        return str(config.database_uri)
    address = database().client.address
    assert address is not None
    host, port = address
    return f"mongodb://{host}:{port}"
