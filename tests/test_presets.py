from __future__ import annotations

import pytest

from ovsam_plugin.presets import PRESETS, get_preset


def test_a_preset_is_found_by_its_name() -> None:
    assert {name: get_preset(name).name for name in PRESETS} == {name: name for name in PRESETS}
    published = {"ovsam-rn50x16-coco", "ovsam-rn50x16-lvis", "ovsam-rn50x16-demo"}
    assert set(PRESETS) == {"ovsam-lite", *published}


def test_published_heads_pool_as_many_bins_as_their_authors_measure_them_with() -> None:
    bins = {name: preset.network.roi_size for name, preset in PRESETS.items()}
    assert bins["ovsam-rn50x16-coco"] == 12
    assert bins["ovsam-rn50x16-lvis"] == bins["ovsam-rn50x16-demo"] == 7


def test_an_unknown_preset_is_refused_with_the_nearest_and_all_names() -> None:
    with pytest.raises(ValueError, match="Did you mean 'ovsam-lite'.*ovsam-rn50x16-lvis"):
        get_preset("ovsam-light")
