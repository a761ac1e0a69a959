"""Encoded photographs within a bound of memory."""

from __future__ import annotations

from pathlib import Path

from ovsam_plugin.interactive.encodings import Encodings, bytes_of
from ovsam_plugin.interactive.shared_network import Photograph, load_shared_network


def test_the_encodings_used_last_are_kept_within_their_bound(
    photographs: dict[str, Path],
) -> None:
    network = load_shared_network(device="cpu")
    sources = [Photograph.of(path) for path in photographs.values()]
    made = [network.encode(source) for source in sources]
    sizes = [bytes_of(encoding) for encoding in made]
    assert all(size > 1_000_000 for size in sizes)
    kept = Encodings(most_bytes=sizes[0] + sizes[1] + sizes[2] - 1)
    for source, encoding in zip(sources[:2], made):
        kept.put(source.key, encoding)
    kept.get(sources[0].key)
    kept.put(sources[2].key, made[2])
    assert kept.get(sources[1].key) is None
    assert kept.get(sources[0].key) is made[0]
    assert kept.bytes == sizes[0] + sizes[2]
    kept.put(sources[0].key, made[0])
    assert kept.bytes == sizes[0] + sizes[2]
