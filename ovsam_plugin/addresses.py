"""Addresses of databases and servers as they may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown_address(address: str) -> str:
    """An address without the name, password and options that it may carry."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that cannot be read"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
