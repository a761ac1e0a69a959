"""OVSAM as a FiftyOne model: what `foz.load_zoo_model` returns and `apply_model` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import fiftyone as fo
import fiftyone.core.media as fom
import numpy as np
import numpy.typing as npt
from fiftyone.core.models import Model, SamplesMixin, SupportsGetItem, TorchModelMixin
from fiftyone.core.video import FramesView

from ovsam_plugin.dataset.examples import Kept, adapter_of
from ovsam_plugin.dataset.fields import (
    check_storable,
    declare_fields,
    error_field,
    to_detections,
)
from ovsam_plugin.dataset.internals import (
    applied_to,
    dataset_of,
    declare_on_frames,
    is_generated,
)
from ovsam_plugin.dataset.labeler_cache import cached_labeler
from ovsam_plugin.dataset.loading import Loaded, SampleLoader, check_prompt_keys
from ovsam_plugin.dataset.overwriting import made_by_hand
from ovsam_plugin.dataset.prompt_fields import Asked, Refusal, left_out
from ovsam_plugin.dataset.targets import VIDEO, Samples, all_images, copies_of
from ovsam_plugin.hardware.device import free_memory, is_out_of_memory
from ovsam_plugin.hardware.precision import Precision
from ovsam_plugin.images.reading import Pixels
from ovsam_plugin.images.tiles import Tiles, check_tiles
from ovsam_plugin.namers import Cut, Namer, NamerSpec
from ovsam_plugin.namers.ovsam import OvsamNamer
from ovsam_plugin.prediction.finding import MIN_MATCH, ClassFinder, Finder, build_finder, rivals_of
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.labeler import Labeler, Unnamed, build_recognizer
from ovsam_plugin.prediction.predictor import Encoding
from ovsam_plugin.prediction.prompts import Grid
from ovsam_plugin.presets import get_preset
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

Found: TypeAlias = Encoding | Unnamed | Exception
"""What names are given to, or why there is nothing."""


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
        self._applied: _Applied | None = None
        # Photographs encoded at once, where memory has run out before.
        self._at_once: int | None = None

    def __enter__(self) -> OvsamModel:
        """Before anything is computed: whether `apply_model` may write, and what it will.

        Raises:
            ValueError: samples are videos or copies, or the label field holds something else, or
                labels that are not to be replaced.
        """
        call = applied_to()
        self._applied = None if call is None else _Applied.begin(*call)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._applied = None
        if isinstance(raised[1], _ChangedError):
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
        adapter, self.examples = _by_example(dataset, classes, self.labeler)
        if adapter is None:
            raise ValueError(f"{category.name!r} has no examples to be found by")
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
                raise _ChangedError if self._applied else ValueError(_CHANGED)
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
        for row, one in zip(wanted, self._found([batch[i] for i in wanted])):
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
        (found,) = self._found([item])
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Unnamed):
            return found.instances
        return self.labeler.predictor.decode(found, item.asked.prompts)

    def _found(self, batch: Sequence[Loaded]) -> list[Found]:
        """What names are given to: encodings; with a namer, what it made of all photographs."""
        if self.labeler.namer is None:
            return list(self._encode(batch))
        asked = [None if item.asked is None else item.asked.prompts for item in batch]
        looked = [i for i, prompts in enumerate(asked) if not self.labeler.is_drawn(prompts)]
        encodings = dict(zip(looked, self._encode([batch[i] for i in looked])))
        found: list[Found] = []
        for i, (item, prompts) in enumerate(zip(batch, asked)):
            assert item.frame is not None
            encoding = encodings.get(i, item.frame.original_size)
            try:
                if isinstance(encoding, Exception):
                    raise encoding
                found.append(self.labeler.find(encoding, prompts or self.config.grid))
            except Exception as error:
                found.append(error)
        seen = [(i, one) for i, one in enumerate(found) if isinstance(one, Unnamed)]
        pairs = [(_pixels(batch[i]), one) for i, one in seen]
        for (i, _), embedded in zip(seen, self._embedded(pairs)):
            found[i] = embedded
        return found

    def _embedded(self, pairs: Sequence[tuple[Pixels, Unnamed]]) -> list[Unnamed | Exception]:
        """All at once; one at a time where that fails, so that no photograph costs another."""
        if not pairs:
            return []
        try:
            return list(self.labeler.embed(pairs))
        except Exception as error:
            if len(pairs) == 1:
                return [error]
            return [one for pair in pairs for one in self._embedded([pair])]

    def _encode(self, batch: Sequence[Loaded]) -> list[Encoding | Exception]:
        size = self._at_once or len(batch)
        done: list[Encoding | Exception] = []
        while len(done) < len(batch):
            done += self._encode_at_once(batch[len(done) : len(done) + size])
            size = self._at_once or size
        return done

    def _encode_at_once(self, batch: Sequence[Loaded]) -> list[Encoding | Exception]:
        try:
            frames = [item.frame for item in batch if item.frame is not None]
            return list(self.labeler.predictor.encode(frames))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            half = len(batch) // 2
            if is_out_of_memory(error):
                self._at_once = half
        # Outside of the handler, which holds what had been computed.
        free_memory()
        return self._encode_at_once(batch[:half]) + self._encode_at_once(batch[half:])

    def _answer_one(self, item: Loaded, found: Found | None) -> Answer:
        asked = item.asked or Asked()
        if found is None:
            return Answer(fo.Detections(), item.error or asked.error, refused=asked.refused)
        try:
            if isinstance(found, Exception):
                raise found
            detections, instances, empty = self._label_in_memory(found, item)
            check_storable(detections)
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


def build_model(
    preset: str = "ovsam-lite",
    *,
    vocabulary: str | Path | Sequence[str] | Vocabulary = "lvis",
    device: str = "auto",
    weights: str | Path | None = None,
    min_confidence: float | None = None,
    min_objectness: float | None = None,
    all_candidates: bool = False,
    tiles: Tiles = "auto",
    points_per_side: int | None = None,
    refine_masks: bool = False,
    find: str | Category | None = None,
    calibration: Calibration | str | Path | None = None,
    adapter: Adapter | str | Path | None = None,
    namer: str | NamerSpec | None = None,
    cuts: str | Sequence[Cut] | None = None,
    dataset: fo.Dataset | None = None,
    precision: Precision = "auto",
) -> OvsamModel:
    """A model of a preset and a vocabulary; weights stay loaded from one call to the next.

    Args:
        preset: a name of `presets.PRESETS`.
        vocabulary: as for `load_vocabulary`.
        device: "auto", "cpu", "cuda", ...
        weights: a .safetensors file of the assembled model; the preset's own when None.
        min_confidence: labels below it are left out; None keeps every answer.
        min_objectness: instances below it are left out; when None, those below the preset's own
            when nothing is asked, and none else.
        all_candidates: whether every candidate is kept when nothing is asked.
        tiles: "auto", "off" or a number along the longer side; see `tiles`.
        points_per_side: the lattice of "everything"; the preset's own when None.
        refine_masks: whether mask prompts are drawn anew instead of only named.
        find: words that instances have to fit when nothing else is asked, or a class by example.
        calibration: of the confidences, or its file; labels below its thresholds are left out.
        adapter: what `learn_names` learned from decisions, or its file.
        namer: who names what the preset draws, where not the preset itself; see `NamerSpec.of`.
        cuts: how an open_clip namer is shown an instance; see `namers.cuts`.
        dataset: that has the labels which are examples of classes, where there are any.
        precision: "auto", "fp32", "bf16" or "fp16"; see `precision`.

    Raises:
        ValueError: an unknown preset, namer, vocabulary, device or precision, a number out of
            range, or a calibration or adapter that was made for others.
        FileNotFoundError: the weights, the calibration or the adapter are not on this machine.
        RuntimeError: open_clip cannot fetch or read the namer.
    """
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence is a probability, 0 to 1, got {min_confidence}")
    if min_objectness is not None and not 0 <= min_objectness <= 1:
        raise ValueError(f"min_objectness is a probability, 0 to 1, got {min_objectness}")
    config = OvsamModelConfig(
        grid=None if points_per_side is None else Grid(points_per_side),
        refine_masks=refine_masks,
        find=find.name if isinstance(find, Category) else find,
        confidence_thresh=min_confidence,
        tiles=check_tiles(tiles),
    )
    path = None if weights is None else Path(weights).expanduser()
    fitted = Calibration.of(calibration)
    learned = Adapter.of(adapter)
    spec = NamerSpec.of(namer or get_preset(preset).namer, cuts)
    classes = load_vocabulary(vocabulary)
    labeler = cached_labeler(preset, classes, device, path, fitted, learned, spec, precision)
    labeler.min_objectness, labeler.all_candidates = min_objectness, all_candidates
    kept: Kept = {}
    if learned is None:
        shown, kept = _by_example(dataset, classes, labeler)
        if shown is not None:
            labeler.recognizer = labeler.recognizer.adapted(shown)
    model = OvsamModel(labeler, config, spec, kept)
    if isinstance(find, Category):
        model.look_for(find, dataset)
    return model


def _by_example(
    dataset: fo.Dataset | None, classes: Vocabulary, labeler: Labeler
) -> tuple[Adapter | None, Kept]:
    def namer() -> Namer:
        return labeler.namer or OvsamNamer(labeler.predictor)

    return adapter_of(dataset, classes, labeler.side, namer, labeler.embedder)


def _pixels(item: Loaded) -> Pixels:
    assert item.pixels is not None
    return item.pixels


def _asks(item: Loaded) -> bool:
    return item.frame is not None and (item.asked is None or bool(item.asked.prompts))


_CHANGED = (
    "the view changed while it was labelled, since it depends on the field that is written: label "
    "view.select(view.values('id')) of the dataset instead"
)


class _ChangedError(BaseException):
    """Leaves FiftyOne's loop over batches, which goes on after any `Exception`."""

    def __init__(self) -> None:
        super().__init__(_CHANGED)


@dataclass(frozen=True)
class _Applied:
    """An `apply_model` that is going on.

    Attributes:
        dataset: whose fields are written; of frames, the one that their view makes.
        label_field: the field.
        failed: ids of the samples on which an earlier call left a reason.
    """

    dataset: fo.Dataset
    label_field: str
    failed: frozenset[str]

    @classmethod
    def begin(cls, samples: Samples, label_field: str) -> _Applied:
        """Checks everything, and declares what will be written.

        Raises:
            ValueError: see `OvsamModel.__enter__`.
        """
        frames = isinstance(samples, FramesView)
        if samples.media_type == fom.VIDEO:
            raise ValueError(VIDEO)
        if is_generated(samples) and not frames:
            raise ValueError(copies_of(samples))
        # FiftyOne replaces what a field holds, and has no way to ask for consent.
        if found := made_by_hand(samples, label_field):
            raise ValueError(
                f"field {label_field!r} holds labels {found}, which would be replaced: give "
                "another label_field, or clear it before with "
                f"samples.clear_sample_field({label_field!r})"
            )
        dataset = dataset_of(samples)
        declare_fields(dataset, label_field)
        if frames:
            # FiftyOne declares what it meets first, but cannot where that is None.
            names = (label_field, error_field(label_field))
            declare_on_frames(samples, {name: dataset.get_field(name) for name in names})
        failed = all_images(dataset).exists(error_field(label_field)).values("id")
        return cls(dataset, label_field, frozenset(failed))

    def tell(self, sample: fo.Sample, error: str | None) -> None:
        """Writes why a sample has not all labels, or removes the reason of an earlier failure.

        FiftyOne gives a model samples without their other fields: None would be no change of one.
        """
        name = error_field(self.label_field)
        if error is not None:
            sample.set_field(name, error)
        elif sample.id in self.failed:
            all_images(self.dataset).select(sample.id).set_values(name, [None])
