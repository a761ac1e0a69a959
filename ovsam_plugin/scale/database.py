"""The database that workers elsewhere are to use."""

from __future__ import annotations

from fiftyone import config
from fiftyone.core.odm import get_db_conn


def database_address() -> str:
    """What FIFTYONE_DATABASE_URI must be for a process that is to use this one's database."""
    if config.database_uri:
        return str(config.database_uri)
    address = get_db_conn().client.address
    assert address is not None
    host, port = address
    return f"mongodb://{host}:{port}"
