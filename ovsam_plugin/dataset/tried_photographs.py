"""Which photographs a preview is made of: always the same few, until one of them changes."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping

from ovsam_plugin.dataset.internals import dataset_id, stages_of
from ovsam_plugin.dataset.targets import Samples, root_dataset

COUNT = 4
_SEED = 51
# Ids of the photographs of the last few forms: to find them takes as long as there are samples.
_chosen: OrderedDict[str, list[str]] = OrderedDict()
_FORMS = 8


def tried_photographs(samples: Samples, prompt_fields: Mapping[str, str]) -> Samples:
    """Some photographs, of those that ask where prompts do.

    Args:
        samples: a dataset or view of images.
        prompt_fields: field names by keywords of `apply_model`; empty for everything.
    """
    dataset, stages = dataset_id(root_dataset(samples)), stages_of(samples)
    for name in prompt_fields.values():
        samples = samples.exists(name)
    form = repr((str(dataset), stages, sorted(prompt_fields.items()), samples.count()))
    if form not in _chosen:
        ids = samples.values("id")
        _chosen[form] = sorted(random.Random(_SEED).sample(ids, min(COUNT, len(ids))))
        while len(_chosen) > _FORMS:
            _chosen.popitem(last=False)
    return samples.select(_chosen[form])


def as_they_are(photographs: Samples) -> str:
    """Another text once one of some photographs, or what asks about it, has changed."""
    return repr(photographs.values(["id", "last_modified_at"]))
