"""Methods asked image by image, and their answers held against the truth. No database is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ovsam_plugin.annotations import AnnotatedImage, Id
from ovsam_plugin.baselines import Method
from ovsam_plugin.evaluation.coco_content import CocoContent
from ovsam_plugin.evaluation.detections import Detection, Detections
from ovsam_plugin.evaluation.ground_truth import FederatedLists, GroundTruth
from ovsam_plugin.evaluation.mask_iou import crops_of
from ovsam_plugin.evaluation.metrics import UNNAMED, outside
from ovsam_plugin.evaluation.protocols import (
    PAIRED,
    Pairs,
    Protocol,
    Target,
    pair_by_asker,
    pair_greedily,
    prompt_of,
)
from ovsam_plugin.evaluation.published import Published
from ovsam_plugin.evaluation.results import COST_PROMPTS, Evaluated, MethodResult
from ovsam_plugin.evaluation.splits import match_classes, merged_classes, require_classes
from ovsam_plugin.evaluation.tally import Predicted, Tally
from ovsam_plugin.images.reading import read_image
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.prompts import Prompt
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.classifier import OnProgress
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Pixels = npt.NDArray[np.uint8]
Finder = Callable[[Pixels], Sequence[Prompt]]


@dataclass(frozen=True, eq=False)
class _Case:
    """One image with what is there and what is asked."""

    image: AnnotatedImage
    path: Path
    pixels: Pixels
    targets: tuple[Target, ...]
    prompts: tuple[Prompt, ...]
    boxes: tuple[Detection, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


class Evaluation:
    """An evaluation of methods on the images of an annotation file.

    Args:
        ground_truth: the file.
        paths: of the images that are there, by image id.
        vocabulary: what the methods answer from; with splits, instances of classes in neither part
            are left out.
        protocol: what is asked.
        detections: a detector's boxes, for the protocol "detector".
        finder: where to look, for the protocol "everything".

    Raises:
        ValueError: a class of the file that has instances is not in the vocabulary, no image of the
            file is there, or what the protocol needs is not given.
    """

    def __init__(
        self,
        ground_truth: GroundTruth,
        paths: Mapping[Id, Path],
        vocabulary: Vocabulary,
        protocol: Protocol,
        *,
        detections: Detections | None = None,
        finder: Finder | None = None,
    ) -> None:
        self._truth = ground_truth
        self._protocol = protocol
        self._detections = {} if detections is None else detections.boxes
        self._left_out = (*ground_truth.problems, *(detections.problems if detections else ()))
        self._finder = finder
        if protocol == "detector" and detections is None:
            raise ValueError('the protocol "detector" needs the boxes of a detector')
        if protocol == "everything" and finder is None:
            raise ValueError('the protocol "everything" needs something that finds where to look')
        self._images = [image for image in ground_truth.images if image.id in paths]
        self._paths = paths
        if not self._images:
            raise ValueError(
                f"none of the {len(ground_truth.images)} images of {ground_truth.path} is there "
                f"(the first is {ground_truth.images[0].file_name if ground_truth.images else '?'})"
                ": is it the annotation file of another data set?"
            )
        split = any(category.split for category in vocabulary)
        used = np.zeros(len(ground_truth.categories), dtype=bool)
        for image in self._images:
            used[[truth.category for truth in ground_truth.truths.get(image.id, ())]] = True
        # With a split, a class outside the vocabulary is as one in neither part.
        self._labels = require_classes(ground_truth.categories, vocabulary, used & (not split))
        if split:
            apart = np.array([category.split is None for category in vocabulary])
            self._labels[apart[self._labels]] = -1
        if not (self._labels[used] >= 0).any():
            raise ValueError(
                f"nothing in {ground_truth.path} can be evaluated: its images have no annotation "
                f"of a class of {vocabulary.name!r}{' that is base or novel' if split else ''}"
            )
        self._notes = merged_classes(ground_truth.categories, self._labels, vocabulary, used)
        self._vocabulary = _with_frequencies(vocabulary, ground_truth.categories, self._labels)
        self._places: dict[str, npt.NDArray[np.int64]] = {}
        self._problems: list[str] = []

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._images)

    def run(self, methods: Sequence[Method], progress: OnProgress | None = None) -> Evaluated:
        """Ask every method about every image; an image on which one fails counts for none.

        Args:
            methods: at least one.
            progress: called with images done and images in all.
        """
        self._problems = list(self._left_out)
        tallies, detector_tallies = ([Tally() for _ in methods] for _ in range(2))
        seconds, named = [0.0] * len(methods), [True] * len(methods)
        others: list[tuple[str, ...]] = [()] * len(methods)
        truth = CocoContent(self._vocabulary, self._labels[self._labels >= 0].tolist())
        paths: list[Path] = []
        for done, image in enumerate(self._images, start=1):
            try:
                case = self._case(image)
                answers = [_ask(method, case, self._protocol) for method in methods]
            except Exception as error:  # one image must not cost the others
                self._problems.append(f"{image.file_name}: {error}")
            else:
                for i, (method, (instances, names)) in enumerate(zip(methods, answers)):
                    seconds[i] += method.seconds
                    named[i] = named[i] and names is not None
                    others[i] = () if names is None else names.vocabulary.names
                    keep_empty = isinstance(method, Published)
                    found = self._answers(instances, names, keep_empty=keep_empty)
                    pairs = self._pair(case, found)
                    tallies[i].add(found, case.targets, pairs, len(paths), case.size)
                    if case.boxes:
                        theirs = self._as_detected(case, found)
                        detector_tallies[i].add(theirs, case.targets, pairs, len(paths), case.size)
                truth.add(image.file_name, case.size, case.targets, self._federated(image.id))
                paths.append(case.path)
            if progress is not None:
                progress(done, len(self._images))
        return Evaluated(
            vocabulary=self._vocabulary,
            protocol=self._protocol,
            paths=tuple(paths),
            methods=tuple(
                MethodResult(
                    name=method.name,
                    outcomes=tallies[i].outcomes,
                    named=named[i],
                    rows=tallies[i].rows,
                    detector_rows=detector_tallies[i].rows,
                    surplus=tallies[i].surplus,
                    seconds=seconds[i] / max(len(paths), 1),
                    cost=method.cost(COST_PROMPTS),
                    others=others[i],
                )
                for i, method in enumerate(methods)
            ),
            truth=truth.content,
            federated=self._truth.federated is not None,
            problems=tuple(self._problems),
            notes=self._notes,
        )

    def _case(self, image: AnnotatedImage) -> _Case:
        path = self._paths[image.id]
        pixels = read_image(path)
        size = pixels.shape[0], pixels.shape[1]
        if image.size is not None and image.size != size:
            raise ValueError(
                f"it is {size[1]} x {size[0]}, {self._truth.path.name} says "
                f"{image.size[1]} x {image.size[0]}"
            )
        targets, prompts = self._targets(image, size)
        boxes: tuple[Detection, ...] = ()
        if self._protocol == "detector":
            boxes = tuple(self._on_image(image, size))
            prompts = tuple(box.prompt for box in boxes)
        elif self._finder is not None and self._protocol == "everything":
            prompts = tuple(self._finder(pixels))
        return _Case(image, path, pixels, targets, prompts, boxes)

    def _targets(
        self, image: AnnotatedImage, size: tuple[int, int]
    ) -> tuple[tuple[Target, ...], tuple[Prompt, ...]]:
        """The truths, in a paired protocol those that are asked about, and what they ask."""
        paired = self._protocol in PAIRED
        targets, prompts = [], []
        for truth in self._truth.truths.get(image.id, ()):
            label = int(self._labels[truth.category])
            if paired and (label < 0 or truth.crowd):
                continue
            try:
                target = Target(truth, truth.mask(size), label)
                if paired:
                    prompts.append(prompt_of(target, self._protocol, size))
            except ValueError as error:
                self._problems.append(f"annotation {truth.id} of {image.file_name}: {error}")
                continue
            targets.append(target)
        return tuple(targets), tuple(prompts)

    def _on_image(self, image: AnnotatedImage, size: tuple[int, int]) -> Iterator[Detection]:
        for box in self._detections.get(image.id, ()):
            try:
                box.prompt.on_image(size[1], size[0])
            except ValueError as error:
                self._problems.append(f"a detection on {image.file_name}: {error}")
            else:
                yield box

    def _answers(
        self, instances: Instances, names: Recognition | None, *, keep_empty: bool
    ) -> Predicted:
        """Names as places in this evaluation's vocabulary; an empty mask is no answer."""
        masks = crops_of(instances)
        if names is None:
            stability = instances.stability.astype(np.float64)
            return Predicted(masks, np.full(len(masks), UNNAMED, dtype=np.int64), stability)
        labels = self._place(names.vocabulary)[names.indices]
        if not keep_empty:
            labels[instances.empty] = UNNAMED
        scores = names.confidence.astype(np.float64)
        if self._protocol == "everything":  # nobody said that there is a thing
            scores = scores * instances.objectness
        return Predicted(masks, labels, scores)

    def _place(self, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
        """Where a method's classes stand in this evaluation's vocabulary, or `outside` it."""
        if vocabulary.hash not in self._places:
            places = match_classes(vocabulary, self._vocabulary)
            places[places < 0] = [outside(int(i)) for i in np.flatnonzero(places < 0)]
            self._places[vocabulary.hash] = places
        return self._places[vocabulary.hash]

    def _pair(self, case: _Case, answers: Predicted) -> Pairs:
        if self._protocol in PAIRED:
            return pair_by_asker(answers.masks, range(len(case.targets)), case.targets)
        return pair_greedily(answers.masks, answers.scores, case.targets)

    def _as_detected(self, case: _Case, answers: Predicted) -> Predicted:
        """A method's masks under the detector's own classes and scores."""
        places = [-1 if box.category is None else self._labels[box.category] for box in case.boxes]
        scores = np.array([box.score for box in case.boxes])
        return Predicted(answers.masks, np.array(places, dtype=np.int64), scores)

    def _federated(self, image_id: Id) -> FederatedLists | None:
        if self._truth.federated is None:
            return None
        lists = self._truth.federated[image_id]

        def here(categories: Sequence[int]) -> tuple[int, ...]:
            return tuple(int(self._labels[c]) for c in categories if self._labels[c] >= 0)

        return FederatedLists(here(lists.negative), here(lists.not_exhaustive))


def _ask(method: Method, case: _Case, protocol: Protocol) -> tuple[Instances, Recognition | None]:
    if isinstance(method, Published) and protocol in PAIRED:
        boxes = np.array([target.truth.box(case.size) for target in case.targets]).reshape(-1, 4)
        return method.label_knowing(case.pixels, case.prompts, boxes)
    return method.label(case.pixels, case.prompts)


def _with_frequencies(
    vocabulary: Vocabulary, classes: Vocabulary, labels: npt.NDArray[np.int64]
) -> Vocabulary:
    """The vocabulary with the file's frequencies where it has none of its own."""
    found = {int(label): c.frequency for c, label in zip(classes, labels) if label >= 0}
    return Vocabulary(vocabulary.name, tuple(
        replace(category, frequency=category.frequency or found.get(i))
        for i, category in enumerate(vocabulary)
    ))  # fmt: skip
