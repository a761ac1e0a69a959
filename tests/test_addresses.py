"""Addresses are shown without what they carry."""

from __future__ import annotations

import pytest

from ovsam_plugin.addresses import shown_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("mongodb://me:pw@a:1,b:2/db?password=pw", "mongodb://a:1,b:2/db"),
        ("http://me:p%40w@host/x#pw", "http://host/x"),
        ("mongodb://127.0.0.1:27017", "mongodb://127.0.0.1:27017"),
        ("http://[pw", "an address that cannot be read"),
    ],
)
def test_an_address_is_shown_without_what_it_carries(address: str, shown: str) -> None:
    assert shown_address(address) == shown
