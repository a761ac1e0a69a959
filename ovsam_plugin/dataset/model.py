"""OVSAM as a FiftyOne model: what `foz.load_zoo_model` returns and `apply_model` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from fiftyone.core.models import Model, SamplesMixin, SupportsGetItem, TorchModelMixin

from ovsam_plugin.dataset import edits
from ovsam_plugin.dataset.apply_call import CHANGED, ApplyCall, ViewChangedError
from ovsam_plugin.dataset.batch_encoding import BatchEncoder, Found
from ovsam_plugin.dataset.examples import Kept, labeler_adapter
from ovsam_plugin.dataset.fields import (
    check_storable,
    to_detections,
)
from ovsam_plugin.dataset.internals import (
    applied_to,
)
from ovsam_plugin.dataset.loading import Loaded, SampleLoader
from ovsam_plugin.dataset.prompt_kinds import check_prompt_keys
from ovsam_plugin.dataset.refusal import Refusal
from ovsam_plugin.dataset.sample_prompts import Asked, left_out
from ovsam_plugin.hardware.device import free_memory, is_out_of_memory
from ovsam_plugin.images.tiles import Tiles
from ovsam_plugin.namers import NamerSpec
from ovsam_plugin.prediction.finding import MIN_MATCH, ClassFinder, Finder, build_finder, rivals_of
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.labeler import Labeler, Unnamed, build_recognizer
from ovsam_plugin.prediction.predictor import Encoding
from ovsam_plugin.prediction.prompts import Grid
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


@dataclass
class OvsamModelConfig:
    """What may change between two calls of `apply_model`.

    Attributes:
        grid: where to look when nothing is asked; the preset's own density when None.
        refine_masks: whether mask prompts are drawn anew (True) or only named.
        find: words; of everything, only instances that fit them are kept. None keeps all.
        confidence_thresh: labels below it are left out; None keeps every answer.
        tiles: what large photographs and small boxes are looked at in too; see `tiles`.
        filter_classes: only labels with these names are kept; None keeps all.
    """

    grid: Grid | None = None
    refine_masks: bool = False
    find: str | None = None
    confidence_thresh: float | None = None
    tiles: Tiles = "auto"
    filter_classes: set[str] | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """One sample's labels, what they were made from, and why there are none or not all of them.

    Attributes:
        detections: the labels.
        error: why there are none, or not all of them.
        instances: what the labels were made from.
        refused: of prompts without an answer.
    """

    detections: fo.Detections
    error: str | None = None
    instances: Instances | None = None
    refused: tuple[Refusal, ...] = ()


class OvsamModel(SupportsGetItem, SamplesMixin, TorchModelMixin, Model):  # type: ignore[misc]
    """Finds and names instances.

    `apply_model(model, label_field=...)` labels everything; `box_prompt_field`,
    `point_prompt_field` and `mask_prompt_field` (any of them, together too) label what the named
    fields ask, one label for each prompt that has an answer, in order. A sample that fails gets an
    empty label field and the reason in `<label_field>_error`; the others go on. A label field that
    holds a person's work, or another tool's, is refused before anything is written to it.

    Args:
        labeler: a predictor with a vocabulary.
        config: defaults when not given.
        namer: what the labeler's namer was asked for by.
        examples: embeddings of the examples of its classes.

    Attributes:
        labeler, namer, examples: as given.

    Raises:
        ValueError: `config.find` has no words.
    """

    def __init__(
        self,
        labeler: Labeler,
        config: OvsamModelConfig | None = None,
        namer: NamerSpec | None = None,
        examples: Kept | None = None,
    ) -> None:
        super().__init__()
        self.labeler = labeler
        self.namer = namer
        self.examples = examples or {}
        self.config = config or OvsamModelConfig()
        self.preprocess = True
        self._finder: Finder | ClassFinder | None = None
        self.found_by: str | None = None
        if self.config.find is not None:
            device = labeler.predictor.device
            self._finder = build_finder(labeler.side, self.config.find, device)
        self._prompt_fields: dict[str, str] = {}
        self._applied: ApplyCall | None = None
        self._encoder = BatchEncoder(labeler)

    def __enter__(self) -> OvsamModel:
        """Before anything is computed: whether `apply_model` may write, and what it will.

        Raises:
            ValueError: samples are videos or copies, or the label field holds something else, or
                labels that are not to be replaced.
        """
        call = applied_to()
        self._applied = None if call is None else ApplyCall.begin(*call)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._applied = None
        if isinstance(raised[1], ViewChangedError):
            raise ValueError(str(raised[1])) from None

    def look_for(self, category: Category, dataset: fo.Dataset | None) -> None:
        """Keeps instances of a class alone, which has examples, where nothing else is asked.

        Args:
            category: with examples.
            dataset: that has those which are labels.

        Raises:
            ValueError: an example is gone, or shows nothing; or there is none.
        """
        classes = rivals_of(category)
        adapter, self.examples = labeler_adapter(dataset, classes, self.labeler)
        if adapter is None:
            raise ValueError(f"{category.name!r} has no examples to search by")
        device = self.labeler.predictor.device
        recognizer = build_recognizer(self.labeler.side, classes, device).adapted(adapter)
        self.found_by = adapter.hash
        self._finder = ClassFinder(recognizer, category.name)

    @property
    def media_type(self) -> str:
        return "image"

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes that instances are named from."""
        return self.labeler.recognizer.vocabulary

    @property
    def classes(self) -> tuple[str, ...]:
        """Their display names."""
        return self.vocabulary.names

    @property
    def transforms(self) -> None:
        return None

    @property
    def preprocess(self) -> bool:
        return self._preprocess

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        self._preprocess = value

    @property
    def ragged_batches(self) -> bool:
        return False

    @property
    def has_collate_fn(self) -> bool:
        return True

    @staticmethod
    def collate_fn(batch: list[Loaded]) -> list[Loaded]:
        return batch

    @property
    def needs_fields(self) -> dict[str, str]:
        return self._prompt_fields

    @needs_fields.setter
    def needs_fields(self, fields: Mapping[str, str]) -> None:
        given = {key: name for key, name in fields.items() if name is not None}
        check_prompt_keys(given)
        self._prompt_fields = given

    def build_get_item(self, field_mapping: Mapping[str, str] | None = None) -> SampleLoader:
        prompt_fields = {**self._prompt_fields, **(field_mapping or {})}
        check_prompt_keys(prompt_fields)
        return SampleLoader(
            self.labeler.predictor.network.description,
            prompt_fields,
            refine_masks=self.config.refine_masks,
            tiles=self.config.tiles,
            whole=self.labeler.namer is not None,
        )

    def predict(
        self, arg: Loaded | npt.NDArray[np.uint8], sample: fo.Sample | None = None
    ) -> fo.Detections:
        """`predict_all` for one image."""
        return self.predict_all([arg], samples=None if sample is None else [sample])[0]

    def predict_all(
        self,
        args: Sequence[Loaded | npt.NDArray[np.uint8]],
        samples: Sequence[fo.Sample] | None = None,
    ) -> list[fo.Detections]:
        """Labels of a batch.

        Args:
            args: what `build_get_item` loads, or (H, W, 3) uint8 RGB arrays, of which everything
                is labelled.
            samples: the samples that the labels are for, when FiftyOne will write them.

        Returns:
            a Detections an image. Within `apply_model`, why there are none or not all of them goes
            onto the samples.

        Raises:
            ValueError: an image could not be labelled, and this is no `apply_model`.
            ValueError: the samples are not those that were loaded.
        """
        batch = [self._as_loaded(arg) for arg in args]
        for item, sample in zip(batch, samples or ()):
            if item.id not in (None, sample.id):
                raise ViewChangedError if self._applied else ValueError(CHANGED)
        answers = self.answer(batch)
        if self._applied is None or samples is None:
            for answer in answers:
                if answer.error is not None:
                    raise ValueError(answer.error)
        else:
            for sample, answer in zip(samples, answers):
                self._applied.tell(sample, answer.error)
        return [answer.detections for answer in answers]

    def _as_loaded(self, arg: Loaded | npt.NDArray[np.uint8]) -> Loaded:
        if isinstance(arg, Loaded):
            return arg
        pixels = np.asarray(arg)
        return Loaded(frame=self.labeler.predictor.preprocess(pixels), pixels=pixels)

    def answer(self, batch: Sequence[Loaded]) -> list[Answer]:
        """What `build_get_item` loaded, answered: encoded at once where it asks, then decoded each.

        No photograph costs another: those that fail have the reason and no labels.
        """
        return self.decode(batch, self.encode(batch))

    def encode(self, batch: Sequence[Loaded]) -> list[Found | None]:
        """The first half of `answer`: what names are given to, None where nothing is asked.

        Where memory runs out, fewer are encoded at once from then on.
        """
        wanted = [i for i, item in enumerate(batch) if _asks(item)]
        found: list[Found | None] = [None] * len(batch)
        for row, one in zip(wanted, self._encoder([batch[i] for i in wanted], self.config.grid)):
            found[row] = one
        return found

    def decode(self, batch: Sequence[Loaded], found: Sequence[Found | None]) -> list[Answer]:
        """The second half of `answer`."""
        return [self._answer_one(*pair) for pair in zip(batch, found)]

    def embed(self, item: Loaded) -> Instances:
        """What the prompts of one photograph show, with embeddings; no names.

        Args:
            item: with a frame and prompts.
        """
        assert item.asked is not None
        (found,) = self._encoder([item], self.config.grid)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Unnamed):
            return found.instances
        return self.labeler.predictor.decode(found, item.asked.prompts)

    def _answer_one(self, item: Loaded, found: Found | None) -> Answer:
        asked = item.asked or Asked()
        if found is None:
            return Answer(fo.Detections(), item.error or asked.error, refused=asked.refused)
        try:
            if isinstance(found, Exception):
                raise found
            detections, instances, empty = self._label_in_memory(found, item)
            check_storable(detections)
            edits.mark(detections)
            refused = asked.refused
            if item.asked is not None:
                refused += tuple(Refusal(str(asker), "the mask is empty") for asker in empty)
            return Answer(detections, left_out(refused, asked.total), instances, refused)
        except Exception as failure:
            return Answer(fo.Detections(), f"{type(failure).__name__}: {failure}")

    def _label_in_memory(
        self, found: Encoding | Unnamed, item: Loaded
    ) -> tuple[fo.Detections, Instances, list[str | None]]:
        """`_label`, with fewer prompts at once from then on where memory runs out."""
        while True:
            at_once = self.labeler.chunk
            try:
                return self._label(found, item)
            except Exception as error:
                if at_once == 1 or not is_out_of_memory(error):
                    raise
                self.labeler.chunk = min(self.labeler.chunk, at_once // 2)
            free_memory()

    def _label(
        self, found: Encoding | Unnamed, item: Loaded
    ) -> tuple[fo.Detections, Instances, list[str | None]]:
        """Labels with their instances, and the ids of prompts whose masks are empty."""
        asked = None if item.asked is None else item.asked.prompts
        if isinstance(found, Unnamed):
            instances, recognition = self.labeler.named(found)
        else:
            instances, recognition = self.labeler.label(found, asked or self.config.grid)
        # A label without a mask and a name is one that FiftyOne's exporters stop at.
        empty = [instances.prompts[i].id for i in np.flatnonzero(instances.empty)]
        order, match = self.kept(instances, recognition, asked=bool(asked))
        instances, recognition = instances[order], recognition[order]
        if match is not None:
            detections = to_detections(
                instances,
                recognition,
                prompt_type="text",
                prompt_id=self.config.find,
                match=match,
            )
        else:
            prompt_type = None if asked else Grid.kind
            detections = to_detections(instances, recognition, prompt_type=prompt_type)
        return detections, instances, empty

    def kept(
        self, instances: Instances, recognition: Recognition, *, asked: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]:
        """Which of a photograph's instances become labels, by the configuration.

        Args:
            instances, recognition: as the labeler gives them.
            asked: whether prompts asked for them.

        Returns:
            Indices of those that do, in the labels' order; and where words were looked for, how
            well each fits them.
        """
        config = self.config
        keep = ~instances.empty
        if config.confidence_thresh is not None:
            keep &= recognition.confidence >= config.confidence_thresh
        if config.filter_classes is not None:
            fits = [name in config.filter_classes for name in recognition.names]
            keep &= np.array(fits, dtype=bool)
        if self._finder is None or asked:
            return np.flatnonzero(keep), None
        match = self._finder.match(instances)
        keep &= match >= MIN_MATCH
        order = np.flatnonzero(keep)[np.argsort(-match[keep], kind="stable")]
        return order, match[order]


def _asks(item: Loaded) -> bool:
    return item.frame is not None and (item.asked is None or bool(item.asked.prompts))
