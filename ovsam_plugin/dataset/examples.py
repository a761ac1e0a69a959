"""Where the examples of classes are, and the embeddings that they have or are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId

from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embeddings import join
from ovsam_plugin.dataset.internals import list_in, sample_documents
from ovsam_plugin.dataset.sample_prompts import read_prompts
from ovsam_plugin.dataset.targets import all_images, fields_of
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.images.reading import Pixels, read_image
from ovsam_plugin.namers import Masked, Namer, NamerSpec, load_namer
from ovsam_plugin.namers.cuts import read_cuts
from ovsam_plugin.namers.ovsam import OvsamNamer
from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.prediction.prompts import Box, Prompt
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.prototypes import prototype_adapter
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.example import picture_example
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Kept = Mapping[str, npt.NDArray[np.float32]]
"""(2 D,) float32 by example."""


def adapter_of(
    dataset: fo.Dataset | None,
    vocabulary: Vocabulary,
    side: TextSide,
    namer: Callable[[], Namer],
    embedder: str,
) -> tuple[Adapter | None, Kept]:
    """What the examples of a vocabulary's classes make of its words' scores.

    Args:
        dataset: that has the labels among the examples; None where there are none.
        vocabulary: the classes.
        side: how the words are read.
        namer: gives who looks at examples that have no embedding yet.
        embedder: digest of the namer's embeddings.

    Returns:
        the adapter, None where no class has examples, and each example's embedding.

    Raises:
        ValueError: an example is gone, has no box, or cannot be looked at; the message says which
            and of which class.
    """
    if not vocabulary.by_example:
        return None, {}
    wanted = [e for place in vocabulary.by_example for e in vocabulary.categories[place].examples]
    found = vectors_of(dataset, wanted, namer, embedder)
    rows: dict[int, npt.NDArray[np.float32]] = {}
    for place in vocabulary.by_example:
        category = vocabulary.categories[place]
        gone = [example for example in category.examples if example not in found]
        if gone:
            where = "anywhere" if dataset is None else f"in dataset {dataset.name!r}"
            raise ValueError(
                f"{len(gone)} of the {len(category.examples)} examples of {category.name!r} are "
                f"gone: there is no label {gone[0]!r} {where}. Choose others"
            )
        rows[place] = np.stack([found[example] for example in category.examples])
    return prototype_adapter(vocabulary, rows, side.fusion, embedder), found


def labeler_adapter(
    dataset: fo.Dataset | None, classes: Vocabulary, labeler: Labeler
) -> tuple[Adapter | None, Kept]:
    """`adapter_of` for a labeler, whose namer, or else its predictor, looks.

    Raises:
        ValueError: as for `adapter_of`.
    """

    def namer() -> Namer:
        return labeler.namer or OvsamNamer(labeler.predictor)

    return adapter_of(dataset, classes, labeler.side, namer, labeler.embedder)


def run_adapter(
    dataset: fo.Dataset, vocabulary: Vocabulary, embedder: Embedder, device: str
) -> tuple[Adapter | None, Kept]:
    """`adapter_of` for the embeddings of a run, whose namer is loaded if it must look.

    Raises:
        ValueError: as for `adapter_of`.
    """
    namer = _loader(embedder, device)
    return adapter_of(dataset, vocabulary, embedder.side, namer, embedder.fingerprint)


def run_vectors(
    dataset: fo.Dataset, examples: Iterable[str], embedder: Embedder, device: str
) -> dict[str, npt.NDArray[np.float32]]:
    """`vectors_of` for the embeddings of a run.

    Raises:
        ValueError: as for `vectors_of`.
    """
    return vectors_of(dataset, examples, _loader(embedder, device), embedder.fingerprint)


def _loader(embedder: Embedder, device: str) -> Callable[[], Namer]:
    spec = NamerSpec(embedder.name, read_cuts(embedder.cuts) if embedder.cuts else ())
    return lambda: load_namer(spec, device)


def vectors_of(
    dataset: fo.Dataset | None, examples: Iterable[str], namer: Callable[[], Namer], embedder: str
) -> dict[str, npt.NDArray[np.float32]]:
    """The embeddings of examples; labels that are gone are left out.

    Embeddings that runs keep are taken first, then examples are looked at.

    Raises:
        ValueError: an example has no box, or cannot be looked at.
    """
    wanted = list(dict.fromkeys(examples))
    pictures = {e: p for e in wanted if (p := picture_example(e)) is not None}
    found: dict[str, npt.NDArray[np.float32]] = {}
    if dataset is not None:
        found = _kept(dataset, [e for e in wanted if e not in pictures], embedder)
    looked: list[tuple[str, Pixels, Prompt]] = []
    for example, picture in pictures.items():
        pixels = read_image(picture.path)
        height, width = pixels.shape[:2]
        looked.append((example, pixels, Box(picture.xyxy).on_image(width, height)))
    if dataset is not None:
        left = [e for e in wanted if e not in found and e not in pictures]
        looked += _labels(dataset, left)
    if looked:
        maker = namer()
        if maker.fingerprint != embedder:
            raise ValueError(
                f"{len(looked)} examples have no embedding from this run, and the weights of "
                f"{maker.side.name} have changed since: choose examples from the run itself"
            )
        photographs = [Masked(pixels, [_crop(prompt)]) for _, pixels, prompt in looked]
        for (example, _, _), seen in zip(looked, maker.embed(photographs)):
            found[example] = join(seen.head, seen.clip)[0]
    return found


def _kept(
    dataset: fo.Dataset, examples: Sequence[str], embedder: str
) -> dict[str, npt.NDArray[np.float32]]:
    """Those that runs of the same namer keep an embedding of."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for field in runs.fields(dataset):
        recorded = runs.recorded(dataset, field)
        if recorded is None or Embedder.of(recorded).fingerprint != embedder:
            continue
        kept = runs.kept_examples(dataset, field)
        found |= {example: kept[example] for example in examples if example in kept}
        left = [e for e in examples if e not in found]
        if left and dataset.get_field(field) is not None:
            try:
                some = embedding_index.pick(dataset, field, left)
            except ValueError:  # a run without embeddings
                continue
            found |= dict(zip(some.label_ids.tolist(), some.vectors))
    return found


def _labels(dataset: fo.Dataset, label_ids: Sequence[str]) -> list[tuple[str, Pixels, Prompt]]:
    """Labels of any field that shows where they are, each with its photograph."""
    wanted = {ObjectId(i) for i in label_ids if ObjectId.is_valid(i)}
    found: list[tuple[str, Pixels, Prompt]] = []
    images = all_images(dataset)
    for field in fields_of(dataset, (fo.Detections, fo.Polylines)):
        inner = str(list_in(dataset.get_field(field).document_type))
        path = f"{field}.{inner}._id"
        rows = sample_documents(dataset).find({path: {"$in": list(wanted)}}, {"_id": True})
        owners = [str(row["_id"]) for row in rows]
        for sample in images.select(owners) if owners else ():
            pixels = read_image(sample.filepath)
            shown = {label.id: label for label in sample[field][inner]}
            for label_id in [i for i in label_ids if i in shown]:
                only = type(sample[field])(**{inner: [shown[label_id]]})
                asked = read_prompts({"mask_prompt_field": only}, pixels.shape[:2])
                if asked.refused:
                    raise ValueError(
                        f"an example shows nothing: label {asked.refused[0]} (field {field!r})"
                    )
                found.append((label_id, pixels, asked.prompts[0]))
                wanted.discard(ObjectId(label_id))
        if not wanted:
            break
    return found


def _crop(prompt: Prompt) -> MaskCrop:
    """The mask, or all that the box shows."""
    if prompt.drawn is not None:
        return prompt.drawn
    assert prompt.within is not None
    x1, y1, x2, y2 = (round(v) for v in prompt.within)
    return MaskCrop.pack(np.ones((max(y2 - y1, 1), max(x2 - x1, 1)), bool), x1, y1)
