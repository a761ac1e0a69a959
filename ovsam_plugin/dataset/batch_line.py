"""Samples on their way through a call: claimed, loaded, computed and handed on, batch by batch."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from typing import Any, TypeAlias

import fiftyone.utils.torch as fout
from torch.utils.data import DataLoader

from ovsam_plugin.dataset.batch_encoding import Found
from ovsam_plugin.dataset.claims import Claims, Open
from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.loader_processes import LoaderProcesses, is_death
from ovsam_plugin.dataset.loading import Loaded, SampleTable
from ovsam_plugin.dataset.model import Answer, OvsamModel
from ovsam_plugin.dataset.targets import Samples
from ovsam_plugin.dataset.workers import Worker
from ovsam_plugin.hardware.streams import part_of_the_cores, streams_on
from ovsam_plugin.stages import Stages

logger = logging.getLogger(__name__)

# Samples that are taken and written at once where nobody says how many: what is labelled in about a
# second, going by the last few batches, which is what a killed run does again. At most so many, and
# fewer where many processes load, each of which has two batches in hand.
_LAST_FEW, _MOST_AT_ONCE, _MOST_LOADED = 5, 8, 64
# How often processes that load photographs may die in one call, as where memory runs out.
_DEATHS = 3


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples on their way through the stages.

    Attributes:
        ids: the samples.
        items: what was loaded of them.
        encodings: of each, once it is encoded.
        answers: of each, once it is labelled.
        last: whether no more of those follow that were claimed with them.
    """

    ids: Sequence[str]
    items: Sequence[Loaded]
    encodings: Sequence[Found | None] = ()
    answers: Sequence[Answer] = ()
    last: bool = True

    def parts(self) -> Iterator[Batch]:
        """Its samples one by one."""
        for i, item in enumerate(self.items, 1):
            yield Batch(self.ids[i - 1 : i], [item], last=i == len(self.ids))
        if not self.ids:
            yield self

    @property
    def loaded(self) -> dict[str, Loaded]:
        """What was loaded, by sample id."""
        return dict(zip(self.ids, self.items))

    @property
    def answered(self) -> dict[str, Answer]:
        """The answers, by sample id."""
        return dict(zip(self.ids, self.answers))


Done: TypeAlias = Callable[[Batch], None]
_Stage: TypeAlias = Callable[[Batch], Batch]


class BatchLine:
    """One worker's.

    Args:
        model: loads, encodes and answers.
        worker: who claims.
        batch_size: samples that are claimed, and handed on, at once; an accelerator also encodes
            them in one pass. As many as are labelled in about a second when None.
        workers: processes that load images; FiftyOne's own number when None.

    Attributes:
        stopped: whether somebody asked the worker to stop before all was done.
    """

    def __init__(
        self, model: OvsamModel, worker: Worker, batch_size: int | None, workers: int | None
    ) -> None:
        self._model = model
        self._worker = worker
        self._batch_size = batch_size
        self._workers = fout.recommend_num_workers(workers)
        self._most = min(_MOST_AT_ONCE, _MOST_LOADED // (2 * max(1, self._workers))) or 1
        self._deaths = 0
        self.stopped = False

    def _stages(self) -> tuple[_Stage, ...]:
        """From what was loaded to its labels.

        An accelerator encodes the next batch while labels are made of the last; on a CPU two
        stages would only take the cores from each other.
        """
        model = self._model

        def encode(batch: Batch) -> Batch:
            return replace(batch, encodings=model.encode(batch.items))

        def decode(batch: Batch) -> Batch:
            answers = model.decode(batch.items, batch.encodings)
            return replace(batch, encodings=(), answers=answers)

        if model.labeler.predictor.device.type != "cpu":
            return encode, decode
        return (lambda batch: decode(encode(batch)),)

    def run(
        self,
        view: Samples,
        prompt_fields: Mapping[str, str],
        open_: Open,
        done: Done,
        *,
        labelled: bool = True,
    ) -> list[str]:
        """Loads samples batch by batch, and has them labelled while others are written.

        Args:
            view: the samples, as they ask.
            prompt_fields: of them.
            open_: those of some claimed samples that are still to be done; on another thread.
            done: takes a batch that is ready.
            labelled: whether it is labelled on the way, and not only loaded.

        Returns:
            samples that another worker has, or that are left since a loading process died.

        Raises:
            RuntimeError: such processes have died too often.
        """
        loader = self._model.build_get_item(dict(prompt_fields))
        table = patiently(lambda: SampleTable(view, loader, skip_failures=True))
        claims = Claims(self._worker, [str(i) for i in table.keys], self._batch_size or 1, open_)
        batches: DataLoader[Any] = DataLoader(
            table,
            batch_sampler=claims,
            num_workers=self._workers,
            collate_fn=list,
            worker_init_fn=table.worker_init,
        )
        # Processes are started before threads are.
        loaders = LoaderProcesses(batches)
        handed = self._handed(claims, loaders.loaded)
        # A namer's batches are large enough for all cores.
        labeler = self._model.labeler
        streams = streams_on(labeler.predictor.device) if labeler.namer is None else 1
        begin = part_of_the_cores(streams)
        written: set[str] = set()
        lost: list[str] = []
        lately = deque([(time.monotonic(), 0)], maxlen=_LAST_FEW)
        try:
            with Stages(
                handed,
                self._stages() if labelled else (),
                abreast=streams,
                begin=begin,
                watch=loaders.check,
            ) as ready:
                for batch in _whole(ready):
                    done(self._held(batch, lost))
                    written.update(claims.batches[0])
                    patiently(lambda: self._worker.release(claims.batches[0]))
                    claims.batches.popleft()
                    if self._batch_size is None:
                        lately.append((time.monotonic(), len(written)))
                        (began, before), (now, count) = lately[0], lately[-1]
                        a_second = int((count - before) / (now - began))
                        claims.size = max(1, min(self._most, a_second))
        except RuntimeError as error:
            self._forgive(error)
            claims.left = [i for i in map(str, table.keys) if i not in written]
        finally:
            for ids in claims.batches:
                self._worker.release(ids)
        self.stopped = self.stopped or claims.stopped
        return claims.left + lost

    def _handed(self, claims: Claims, loaded: Iterable[Sequence[Loaded | None]]) -> Iterator[Batch]:
        """What is loaded, for the stages, until somebody asks to stop: the rest is given back.

        On a CPU, whose caches larger passes leave, each photograph is handed over alone: so its
        streams have equally much to do, and a stop waits for one photograph alone. But a namer
        looks at all instances of a batch in one pass.
        """
        labeler = self._model.labeler
        alone = labeler.predictor.device.type == "cpu" and labeler.namer is None
        for items in loaded:
            batch = Batch(*_matched(claims.handed.popleft(), items))
            for part in batch.parts() if alone else (batch,):
                if claims.should_stop():
                    return
                yield part

    def _held(self, batch: Batch, lost: list[str]) -> Batch:
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


def _whole(parts: Iterable[Batch]) -> Iterator[Batch]:
    """Batches as they were claimed; of the last, those samples that came before a stop."""
    some: list[Batch] = []
    for part in parts:
        some.append(part)
        if part.last:
            yield _joined(some)
            some = []
    if some:
        yield _joined(some)


def _joined(parts: Sequence[Batch]) -> Batch:
    ids, items, answers = (
        [*chain(*each)] for each in zip(*((p.ids, p.items, p.answers) for p in parts))
    )
    return Batch(ids, items, answers=answers)


def _matched(ids: Sequence[str], items: Sequence[Loaded | None]) -> tuple[list[str], list[Loaded]]:
    """Samples and what was loaded of them; one that was deleted meanwhile is left out."""
    there = [(i, item) for i, item in zip(ids, items) if item is not None]
    return [i for i, _ in there], [item for _, item in there]
