"""The work of one call of `label_dataset`, shared with others that label the same field.

Samples are claimed a batch at a time, just before they are loaded, so that two workers on one view
share it, and what a killed one held is taken over. Embeddings go into the spool before their labels
are written, each sample in one update: a stop at any moment leaves it done or not begun.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import fiftyone as fo
import fiftyone.core.utils as fou
from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin.dataset.answer_writer import AnswerWriter
from ovsam_plugin.dataset.batch_line import Batch, BatchLine
from ovsam_plugin.dataset.database import in_parts, patient, patiently
from ovsam_plugin.dataset.fields import FieldGoneError, check_declared, error_field
from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.targets import Samples, all_images
from ovsam_plugin.dataset.unanswered_prompts import (
    Places,
    asking,
    forget_refusals,
    prompts_of,
    unanswered,
    unfinished,
    untried,
)
from ovsam_plugin.dataset.workers import Worker

logger = logging.getLogger(__name__)

# Samples, and labels of them, whose ids a view carries at once.
_SAMPLES_A_PASS, _LABELS_A_PASS = 50_000, 200_000
# Between two looks at samples that another worker has.
_PAUSE = 0.5


class LabelingJob:
    """One call's work.

    Args:
        samples: a view that shows them as they ask; see `prompt_view`.
        dataset: theirs.
        field: the label field, declared.
        model: answers.
        prompt_fields: field names by keywords of `apply_model`; empty for everything.
        worker: who works.
        embeddings: whether they are spooled.
        batch_size: samples that are taken, and written, at once; an accelerator also encodes them
            in one pass. As many as are labelled in about a second when None.
        workers: processes that load images; FiftyOne's own number when None.
        tally: counts what is done; a new one when None.

    Attributes:
        tally: as given.
        left: samples that are still to be done, where somebody asked it to stop.
        wanted: ids of the samples that it set out to label, wholly or for new prompts.
    """

    def __init__(
        self,
        samples: Samples,
        dataset: fo.Dataset,
        field: str,
        model: OvsamModel,
        prompt_fields: Mapping[str, str],
        worker: Worker,
        *,
        embeddings: bool,
        batch_size: int | None,
        workers: int | None,
        tally: LabelTally | None = None,
    ) -> None:
        self._samples = samples
        self._dataset = dataset
        self._field = field
        self._model = model
        self._prompt_fields = prompt_fields
        self._worker = worker
        self._writer = AnswerWriter(
            dataset, field, worker.token, embeddings=embeddings, tally=tally
        )
        self.tally = self._writer.tally
        self._line = BatchLine(model, worker, batch_size, workers)
        self.left = 0
        self.wanted: set[str] = set()
        # Samples that had failed before, and are tried once more.
        self._again: set[str] = set()

    def run(
        self,
        ids: Sequence[str],
        since: datetime | None,
        progress: bool | Callable[[Any], None] | None,
    ) -> None:
        """Labels samples that have no labels yet or failed, then answers prompts that are new.

        Those that have failed meanwhile, in this call or in another at work, are not tried again.
        It ends when none of them is left: those that another worker has are waited for, and taken
        over if it dies. Or when somebody asks the worker to stop.

        Args:
            ids: samples of the dataset or view.
            since: as for `unanswered`.
            progress: as for FiftyOne's progress bar.

        Raises:
            FieldGoneError: the field was deleted or renamed meanwhile.
        """
        written = (self._field, error_field(self._field))
        try:
            self._run(ids, since, progress)
        except FieldGoneError:
            # FiftyOne takes a field from the samples first: some may have got it back since.
            check_declared(self._dataset, written, ids)
            raise
        patiently(lambda: check_declared(self._dataset, written, ids))

    def _run(
        self,
        ids: Sequence[str],
        since: datetime | None,
        progress: bool | Callable[[Any], None] | None,
    ) -> None:
        patiently(lambda: forget_refusals(self._dataset, self._field, self._prompt_fields, ids))
        failed = set(self.tally.failed_ids)
        todo = [i for i in self.unfinished(ids) if i not in failed]
        started = set(todo)
        self._again = started - set(self.untried(todo))
        fresh = self._unanswered([i for i in ids if i not in started], since)
        self.wanted.update(todo, fresh)
        total = len(todo) + len(fresh)
        with fou.ProgressBar(total=total, progress=progress if total else False) as bar:
            while todo and not self._line.stopped:
                todo = self._left(self._pass(todo, bar))
                self._wait(todo)
            # Some of them another may have labelled, whose view asks other prompts.
            fresh |= self._unanswered([i for i in ids if i in started], since)
            tried: dict[str, Places] = {}
            while fresh and not self._line.stopped:
                tried |= self._answer(fresh, since, bar)
                now = self._unanswered(list(fresh), since)
                fresh = {i: asked for i, asked in now.items() if tried.get(i) != asked}
                self._wait(fresh)
        if self._line.stopped:
            self.left = len({*self.unfinished(ids), *fresh})

    def embed(self, lost: Mapping[str, Sequence[str]]) -> int:
        """Spools embeddings of labels that have none, as they are; no label is changed.

        Args:
            lost: label ids by the ids of their samples.

        Returns:
            of how many labels.
        """
        count = 0
        fields = {"mask_prompt_field": self._field}
        for ids in _passes(lost):
            labels = [ObjectId(label) for sample_id in ids for label in lost[sample_id]]
            view = all_images(self._dataset).select(ids)
            view = view.filter_labels(self._field, F("_id").is_in(labels), only_matches=False)

            def done(batch: Batch) -> None:
                nonlocal count
                count += sum(self._embed(one) for one in batch.items)

            self._line.run(view, fields, lambda mine: mine, done, labelled=False)
        return count

    def _pass(self, ids: Sequence[str], bar: Any) -> list[str]:
        """Labels those samples that are free; returns the others."""
        left: list[str] = []
        for part in in_parts(ids, _SAMPLES_A_PASS):
            asked: dict[str, Places] = {}

            def open_(mine: Sequence[str], asked: dict[str, Places] = asked) -> Sequence[str]:
                mine = self._left(mine)
                # Before they are loaded: a prompt that is moved in between asks again.
                if self._prompt_fields and mine:
                    fields = self._prompt_fields
                    asked |= patiently(lambda: dict(prompts_of(self._samples, fields, mine)))
                return mine

            def done(batch: Batch, asked: dict[str, Places] = asked) -> None:
                told = {i: asked.pop(i, {}) for i in batch.ids} if self._prompt_fields else {}
                self._writer.write(batch.loaded, batch.answered, told, adds=False)
                bar.update(len(batch.ids))

            view = self._samples.select(part)
            left += self._line.run(view, self._prompt_fields, open_, done)
        return left

    def _answer(
        self, fresh: Mapping[str, Places], since: datetime | None, bar: Any
    ) -> dict[str, Places]:
        """Answers new prompts where the samples are free; returns those that it answered."""
        tried: dict[str, Places] = {}
        for part in _passes(fresh):

            def open_(mine: Sequence[str]) -> Sequence[str]:
                now = self._unanswered(mine, since)
                return [i for i in mine if now.get(i) == fresh[i]]

            def done(batch: Batch) -> None:
                told = {i: fresh[i] for i in batch.ids}
                self._writer.write(batch.loaded, batch.answered, told, adds=True)
                tried.update(told)
                bar.update(len(batch.ids))

            view = asking(self._samples, self._prompt_fields, {i: fresh[i] for i in part})
            self._line.run(view, self._prompt_fields, open_, done)
        return tried

    def _embed(self, item: Loaded) -> int:
        if item.frame is None or item.asked is None or not item.asked.prompts or item.id is None:
            return 0
        try:
            instances = self._model.embed(item)
        except Exception as error:
            logger.warning("no embeddings for sample %s: %s", item.id, error)
            return 0
        return self._writer.keep(item.id, [str(p.id) for p in item.asked.prompts], instances)

    @patient
    def unfinished(self, ids: Sequence[str]) -> list[str]:
        """See `unanswered_prompts.unfinished`."""
        return unfinished(self._dataset, self._field, ids)

    def _left(self, ids: Sequence[str]) -> list[str]:
        """Those that are still to be done, in the same order."""
        again = [i for i in ids if i in self._again]
        left = {*self.untried(ids), *self.unfinished(again)}
        return [i for i in ids if i in left]

    @patient
    def untried(self, ids: Sequence[str]) -> list[str]:
        """See `unanswered_prompts.untried`."""
        return untried(self._dataset, self._field, ids)

    @patient
    def _unanswered(self, ids: Sequence[str], since: datetime | None) -> dict[str, Places]:
        return unanswered(
            self._samples, self._dataset, self._field, self._prompt_fields, ids, since
        )

    def _wait(self, left: Any) -> None:
        if left and not self._line.stopped:
            time.sleep(_PAUSE)
            self._line.stopped = patiently(self._worker.should_stop)


def _passes(labels: Mapping[str, Collection[Any]]) -> Iterator[list[str]]:
    """These samples, as many at once as a view carries with these labels of theirs."""
    part: list[str] = []
    count = 0
    for sample_id, some in labels.items():
        if part and (len(part) == _SAMPLES_A_PASS or count + len(some) > _LABELS_A_PASS):
            yield part
            part, count = [], 0
        part.append(sample_id)
        count += len(some)
    if part:
        yield part
