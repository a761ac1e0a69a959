from __future__ import annotations

import fiftyone as fo

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset.first_look import colour_classes


def test_labelling_colours_classes_and_leaves_a_persons_own_way(dataset: fo.Dataset) -> None:
    label_dataset(dataset.limit(1), vocabulary="cat, cup", device="cpu", workers=0, progress=False)
    dataset.reload()
    assert dataset.app_config.color_scheme.color_by == "value"
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="field", opacity=0.3)
    dataset.save()
    colour_classes(dataset)
    dataset.reload()
    scheme = dataset.app_config.color_scheme
    assert (scheme.color_by, scheme.opacity) == ("field", 0.3)
    dataset.app_config.color_scheme = fo.ColorScheme(opacity=0.3)
    colour_classes(dataset)
    assert (scheme := dataset.app_config.color_scheme).color_by == "value"
    assert scheme.opacity == 0.3
