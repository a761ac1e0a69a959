"""How large photographs are, whatever FiftyOne's metadata say."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo

from ovsam_plugin.dataset.sizes import measure, size_of

SHOWN = (451, 300)


def test_a_sample_is_as_large_as_it_is_shown_with_metadata_and_without(turned: Path) -> None:
    sample = fo.Sample(filepath=str(turned))
    assert size_of(sample) == SHOWN
    sample.metadata = fo.ImageMetadata.build_for(str(turned))
    assert size_of(sample) == SHOWN
    sample.metadata = fo.ImageMetadata(width=451, height=300)
    assert size_of(sample) == SHOWN


def test_a_file_that_is_gone_is_as_large_as_its_metadata_say() -> None:
    sample = fo.Sample(filepath="/nowhere/gone.png")
    assert size_of(sample) is None
    sample.metadata = fo.ImageMetadata(width=30, height=20)
    assert size_of(sample) == (20, 30)


def test_metadata_that_we_compute_are_of_what_is_shown(dataset: fo.Dataset, turned: Path) -> None:
    dataset.add_sample(fo.Sample(filepath=str(turned)))
    dataset.add_sample(fo.Sample(filepath="/nowhere/gone.png"))
    first = dataset.first()
    first.metadata = fo.ImageMetadata(width=1, height=2)
    first.save()
    sizes = measure(dataset)
    assert list(sizes) == dataset.values("id")
    assert list(sizes.values()) == [(300, 451), (400, 600), (512, 512), SHOWN, None]
    widths, heights = dataset.values(["metadata.width", "metadata.height"])
    # What was there is the user's.
    assert list(zip(heights, widths)) == [(2, 1), (400, 600), (512, 512), SHOWN, (None, None)]
    assert dataset.last().metadata is None
    assert dataset.values("metadata.mime_type")[3] is not None
