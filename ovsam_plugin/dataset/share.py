"""What a worker needs to know to do its share of a labelling, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fiftyone as fo
import fiftyone.utils.torch as fout

from ovsam_plugin.dataset.internals import view_of
from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.labeling_job import LabelingJob
from ovsam_plugin.dataset.model_building import build_model
from ovsam_plugin.dataset.workers import Worker


@dataclass(frozen=True, kw_only=True)
class Share:
    """The settings of a labelling whose run is registered and whose field is ready.

    Can be sent between processes. Samples are claimed as they are labelled, so that nothing is
    labelled twice however the ids are given out, and labels are written whole or not at all, so
    that a share may be begun again by anybody.

    Attributes:
        dataset: its name.
        view: the stages of the view that asks, as FiftyOne serialises them; none of a dataset.
        field: the label field.
        model: keywords of `build_model`, all but the device and the dataset.
        prompt_fields: field names by keyword of `apply_model`; empty for everything.
        embeddings: whether they are kept.
        batch_size: as for `LabelingJob`.
        workers: processes that load images; when None, FiftyOne's own number, parted among those
            that label on one machine.
        since: when the last call of the run began.
    """

    dataset: str
    view: Sequence[Mapping[str, Any]]
    field: str
    model: Mapping[str, Any]
    prompt_fields: Mapping[str, str]
    embeddings: bool
    batch_size: int | None
    workers: int | None
    since: datetime | None

    def label(
        self,
        ids: Sequence[str],
        device: str,
        *,
        helping: Sequence[str] = (),
        together: int = 1,
        tally: LabelTally | None = None,
    ) -> LabelTally:
        """Labels some of the samples; those that another worker has are waited for.

        Args:
            ids: of the samples.
            device: as for `label_dataset`.
            helping: of samples that others have, of which those that nobody has tried in the end
                are labelled too, as where another is slower or has died.
            together: how many label on this machine at once.
            tally: counts what is done as it goes; a new one when None.
        """
        dataset = fo.load_dataset(self.dataset)
        samples = view_of(dataset, self.view)
        model = build_model(**self.model, dataset=dataset, device=device)
        workers = self.workers
        if workers is None:
            workers = -(-fout.recommend_num_workers() // together)
        with Worker(dataset, self.field) as worker:
            worker.begin()
            job = LabelingJob(
                samples,
                dataset,
                self.field,
                model,
                self.prompt_fields,
                worker,
                embeddings=self.embeddings,
                batch_size=self.batch_size,
                workers=workers,
                tally=tally,
            )
            job.run(ids, self.since, progress=False)
            if left := job.untried(helping):
                job.run(left, self.since, progress=False)
        return job.tally
