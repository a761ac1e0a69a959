"""The work of one call of `label_dataset`, shared with others that label the same field.

Samples are claimed a batch at a time, just before they are loaded, so that two workers on one view
share it, and what a killed one held is taken over. Embeddings go into the spool before their labels
are written, each sample in one update: a stop at any moment leaves it done or not begun.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import compress
from typing import Any

import fiftyone as fo
import fiftyone.core.utils as fou
import fiftyone.utils.torch as fout
from bson import ObjectId
from fiftyone import ViewField as F
from torch.utils.data import DataLoader

from ovsam_plugin.dataset.answer_writer import AnswerWriter
from ovsam_plugin.dataset.batch_encoding import Found
from ovsam_plugin.dataset.claims import Claims, Open
from ovsam_plugin.dataset.database import in_parts, patient, patiently
from ovsam_plugin.dataset.fields import FieldGoneError, check_declared, error_field
from ovsam_plugin.dataset.loader_processes import LoaderProcesses, is_death
from ovsam_plugin.dataset.loading import Loaded, SampleTable
from ovsam_plugin.dataset.model import Answer, OvsamModel
from ovsam_plugin.dataset.targets import Samples, all_images
from ovsam_plugin.dataset.unanswered_prompts import (
    Places,
    asking,
    forget_refusals,
    prompts_of,
    unanswered,
    unfinished,
)
from ovsam_plugin.dataset.workers import Worker
from ovsam_plugin.hardware.streams import part_of_the_cores, streams_on
from ovsam_plugin.stages import Stages

logger = logging.getLogger(__name__)

# Samples, and labels of them, whose ids a view carries at once.
_SAMPLES_A_PASS, _LABELS_A_PASS = 50_000, 200_000
# Samples that are taken and written at once where nobody says how many: what is labelled in about a
# second, which is what a killed run does again, and at most so many.
_MOST_AT_ONCE = 8
# Between two looks at samples that another worker has.
_PAUSE = 0.5
# How often processes that load photographs may die in one call, as where memory runs out.
_DEATHS = 3


@dataclass(frozen=True, eq=False)
class _Batch:
    """Some samples on their way through the stages.

    Attributes:
        ids: the samples.
        items: what was loaded of them.
        encodings: of each, once it is encoded.
        answers: of each, once it is labelled.
    """

    ids: Sequence[str]
    items: Sequence[Loaded]
    encodings: Sequence[Found | None] = ()
    answers: Sequence[Answer] = ()

    @property
    def loaded(self) -> dict[str, Loaded]:
        """What was loaded, by sample id."""
        return dict(zip(self.ids, self.items))

    @property
    def answered(self) -> dict[str, Answer]:
        """The answers, by sample id."""
        return dict(zip(self.ids, self.answers))


_Done = Callable[[_Batch], None]
_Stage = Callable[[_Batch], _Batch]


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

    Attributes:
        tally: what has been done.
        batch_size: as given.
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
    ) -> None:
        self._samples = samples
        self._dataset = dataset
        self._field = field
        self._model = model
        self._prompt_fields = prompt_fields
        self._worker = worker
        self._writer = AnswerWriter(dataset, field, worker.token, embeddings=embeddings)
        self.tally = self._writer.tally
        self.batch_size = batch_size
        self._workers = fout.recommend_num_workers(workers)
        self.left = 0
        self.wanted: set[str] = set()
        self._stopped = False
        self._deaths = 0

    def run(
        self,
        ids: Sequence[str],
        since: datetime | None,
        progress: bool | Callable[[Any], None] | None,
    ) -> None:
        """Labels samples that have no labels yet or failed, then answers prompts that are new.

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
        check_declared(self._dataset, written, ids)

    def _run(
        self,
        ids: Sequence[str],
        since: datetime | None,
        progress: bool | Callable[[Any], None] | None,
    ) -> None:
        patiently(lambda: forget_refusals(self._dataset, self._field, self._prompt_fields, ids))
        todo = self.unfinished(ids)
        started = set(todo)
        fresh = self._unanswered([i for i in ids if i not in started], since)
        self.wanted.update(todo, fresh)
        total = len(todo) + len(fresh)
        with fou.ProgressBar(total=total, progress=progress if total else False) as bar:
            while todo and not self._stopped:
                todo = self.unfinished(self._pass(todo, bar))
                self._wait(todo)
            # Some of them another may have labelled, whose view asks other prompts.
            fresh |= self._unanswered([i for i in ids if i in started], since)
            tried: dict[str, Places] = {}
            while fresh and not self._stopped:
                tried |= self._answer(fresh, since, bar)
                now = self._unanswered(list(fresh), since)
                fresh = {i: asked for i, asked in now.items() if tried.get(i) != asked}
                self._wait(fresh)
        if self._stopped:
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

            def done(batch: _Batch) -> None:
                nonlocal count
                count += sum(self._embed(one) for one in batch.items)

            self._load(view, fields, lambda mine: mine, (), done)
        return count

    def _pass(self, ids: Sequence[str], bar: Any) -> list[str]:
        """Labels those samples that are free; returns the others."""
        left: list[str] = []
        for part in in_parts(ids, _SAMPLES_A_PASS):
            asked: dict[str, Places] = {}

            def open_(mine: Sequence[str], asked: dict[str, Places] = asked) -> Sequence[str]:
                mine = self.unfinished(mine)
                # Before they are loaded: a prompt that is moved in between asks again.
                if self._prompt_fields and mine:
                    fields = self._prompt_fields
                    asked |= patiently(lambda: dict(prompts_of(self._samples, fields, mine)))
                return mine

            def done(batch: _Batch, asked: dict[str, Places] = asked) -> None:
                told = {i: asked.pop(i, {}) for i in batch.ids} if self._prompt_fields else {}
                self._writer.write(batch.loaded, batch.answered, told, adds=False)
                bar.update(len(batch.ids))

            view = self._samples.select(part)
            left += self._load(view, self._prompt_fields, open_, self._stages(), done)
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

            def done(batch: _Batch) -> None:
                told = {i: fresh[i] for i in batch.ids}
                self._writer.write(batch.loaded, batch.answered, told, adds=True)
                tried.update(told)
                bar.update(len(batch.ids))

            view = asking(self._samples, self._prompt_fields, {i: fresh[i] for i in part})
            self._load(view, self._prompt_fields, open_, self._stages(), done)
        return tried

    def _stages(self) -> tuple[_Stage, ...]:
        """From what was loaded to its labels.

        An accelerator encodes the next batch while labels are made of the last; on a CPU two
        stages would only take the cores from each other, and larger passes leave its caches.
        """
        model = self._model

        def encode(batch: _Batch) -> _Batch:
            return replace(batch, encodings=model.encode(batch.items))

        def decode(batch: _Batch) -> _Batch:
            answers = model.decode(batch.items, batch.encodings)
            return replace(batch, encodings=(), answers=answers)

        def each(batch: _Batch) -> _Batch:
            parts = [(item,) for item in batch.items]
            return replace(
                batch, answers=[a for one in parts for a in model.decode(one, model.encode(one))]
            )

        if model.labeler.predictor.device.type != "cpu":
            return encode, decode
        # A namer looks at all instances of a batch in one pass.
        return (each,) if model.labeler.namer is None else (lambda batch: decode(encode(batch)),)

    def _load(
        self,
        view: Samples,
        prompt_fields: Mapping[str, str],
        open_: Open,
        stages: Sequence[_Stage],
        done: _Done,
    ) -> list[str]:
        """Loads samples batch by batch, and takes them through the stages while it writes others.

        Args:
            view: the samples, as they ask.
            prompt_fields: of them.
            open_: those of some claimed samples that are still to be done; on another thread.
            stages: what is done with a batch, each on a thread of its own.
            done: takes a batch out of the last.

        Returns:
            samples that another worker has, or that are left since a loading process died.

        Raises:
            RuntimeError: such processes have died too often.
        """
        loader = self._model.build_get_item(dict(prompt_fields))
        table = SampleTable(view, loader, skip_failures=True)
        claims = Claims(self._worker, [str(i) for i in table.keys], self.batch_size or 1, open_)
        batches: DataLoader[Any] = DataLoader(
            table,
            batch_sampler=claims,
            num_workers=self._workers,
            collate_fn=list,
            worker_init_fn=table.worker_init,
        )
        # Processes are started before threads are.
        loaders = LoaderProcesses(batches)
        matched = (_Batch(*_matched(claims.handed.popleft(), items)) for items in loaders.loaded)
        # A namer's batches are large enough for all cores.
        labeler = self._model.labeler
        streams = streams_on(labeler.predictor.device) if labeler.namer is None else 1
        begin = part_of_the_cores(streams)
        written: set[str] = set()
        lost: list[str] = []
        began = time.monotonic()
        try:
            with Stages(
                matched, stages, abreast=streams, begin=begin, watch=loaders.check
            ) as batches_out:
                for batch in batches_out:
                    done(self._held(batch, lost))
                    written.update(claims.batches[0])
                    patiently(lambda: self._worker.release(claims.batches[0]))
                    claims.batches.popleft()
                    if self.batch_size is None:
                        a_second = int(len(written) / (time.monotonic() - began))
                        claims.size = max(1, min(_MOST_AT_ONCE, a_second))
        except RuntimeError as error:
            self._forgive(error)
            claims.left = [i for i in map(str, table.keys) if i not in written]
        finally:
            for ids in claims.batches:
                self._worker.release(ids)
        self._stopped = self._stopped or claims.stopped
        return claims.left + lost

    def _held(self, batch: _Batch, lost: list[str]) -> _Batch:
        """The samples that are still this worker's: another takes over those of one that stands
        still, as on a machine that sleeps. Those are added to `lost`."""
        held = set(patiently(lambda: self._worker.holds(batch.ids)))
        if len(held) == len(batch.ids):
            return batch
        lost += [i for i in batch.ids if i not in held]
        mine = [i in held for i in batch.ids]
        return replace(
            batch,
            ids=list(compress(batch.ids, mine)),
            items=list(compress(batch.items, mine)),
            answers=list(compress(batch.answers, mine)),
        )

    def _forgive(self, error: RuntimeError) -> None:
        """Says that a process that loads photographs has died; raises what is anything else."""
        if not is_death(error):
            raise error
        self._deaths += 1
        if self._deaths > _DEATHS:
            raise RuntimeError(
                f"processes that load photographs died {self._deaths} times. If memory ran out, "
                "use fewer: workers=1, or 0 for none"
            ) from error
        logger.warning("a process that loads photographs died; others go on: %s", error)

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

    @patient
    def _unanswered(self, ids: Sequence[str], since: datetime | None) -> dict[str, Places]:
        return unanswered(
            self._samples, self._dataset, self._field, self._prompt_fields, ids, since
        )

    def _wait(self, left: Any) -> None:
        if left and not self._stopped:
            time.sleep(_PAUSE)
            self._stopped = patiently(self._worker.should_stop)


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


def _matched(ids: Sequence[str], items: Sequence[Loaded | None]) -> tuple[list[str], list[Loaded]]:
    """Samples and what was loaded of them; one that was deleted meanwhile is left out."""
    there = [(i, item) for i, item in zip(ids, items) if item is not None]
    return [i for i, _ in there], [item for _, item in there]
