"""The scores that say how far to trust a run's names, computed once and kept on its labels."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ovsam_plugin.curation import attributes
from ovsam_plugin.curation.decisions import make_ready
from ovsam_plugin.curation.groups import keep_names
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset import edits, embedding_index, runs, writing
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.fields import FOUND, check_writable
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.ranges import check_part
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.recognition.synonyms import Synonyms
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.renaming import renamed
from ovsam_plugin.scoring import table as scoring
from ovsam_plugin.scoring.score import NamedInstances
from ovsam_plugin.scoring.unknown import best_logit, count_as_unknown
from ovsam_plugin.vocabulary.classifier import build_classifier
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

# Everyday words that a vocabulary is held against: where one of these fits better, no class of the
# vocabulary explains the instance.
_REFERENCE = "imagenet-1k"
# Where words for a group of unknown instances are looked for, beside the vocabulary itself.
_NAMING = ("lvis", _REFERENCE)
_NAMES_A_GROUP = 3
_NAMED_GROUPS = 200
_CHUNK = 1024


@dataclass(frozen=True)
class ScoreSummary:
    """What one scoring found.

    Attributes:
        field: the label field.
        instances: labels with scores.
        unknown: of those, how many are more likely unknown than not.
        groups: kinds among the unknown, of two instances or more.
        seconds: how long it took.
    """

    field: str
    instances: int
    unknown: int
    groups: int
    seconds: float


@renamed(field="pred_field")
def score_run(
    samples: Samples,
    *,
    pred_field: str = "ovsam",
    share: float | None = None,
    device: str = "auto",
) -> ScoreSummary:
    """Fills `disagreement`, `outlier`, `unknown`, `group` and `doubt` of a run's labels.

    All instances of the dataset take part, since an outlier is one among all of its class. Nothing
    is looked at again: the run's embeddings are read. Instances whose box or mask was changed by
    hand since have no scores.

    Args:
        samples: the dataset, or a view of it.
        pred_field: a field that `label_dataset` or `relabel_dataset` filled.
        share: of the instances, 0..1, that count as unknown, those highest in `unknown`; by
            default those of 0.5 and more.
        device: "auto", "cpu", "cuda", ...

    Returns:
        what was done.

    Raises:
        ValueError: no run filled the field, its embeddings or classes are not kept, none of its
            labels has an embedding, `share` is out of range, or a score is read-only.
    """
    clock = time.monotonic()
    check_part("share", share)
    dataset = root_dataset(samples)
    recorded = runs.required(dataset, pred_field)
    vocabulary = runs.required_vocabulary(dataset, pred_field)
    check_writable(dataset, pred_field, (a.name for a in attributes.SCORES))
    attributes.declare(dataset, pred_field)
    numbers = {"confidence", "objectness", *scoring.needed(scoring.SCORES)}
    table = LabelTable.read(dataset, pred_field, ("label", "prompt_type", *sorted(numbers)))
    embeddings = embedding_index.load(dataset, pred_field)
    rows = embeddings.rows(table.ids)
    edited = edits.edited(dataset, pred_field)
    current = (rows >= 0) & np.array([i not in edited for i in table.ids], dtype=bool)
    known = np.flatnonzero(current & table.given("label") & table.given("confidence"))
    if not len(known) and table.given("confidence").any():
        raise ValueError(
            f"no label of field {pred_field!r} has an embedding: its labels were named from others "
            "that have been made again since. Relabel it again, replacing existing labels "
            "(overwrite)"
        )
    some = embeddings[rows[known]]
    columns = {name: table.numbers(name)[known] for name in numbers}
    # Where a person or a detector pointed there is a thing, as a rule: its name is in doubt alone.
    pointed = [table.columns["prompt_type"][i] not in FOUND for i in known]
    columns["objectness"][pointed] = np.nan
    names = [str(table.columns["label"][i]) for i in known]
    side = Embedder.of(recorded).side
    where = pick_device(device)
    here, there = _best_logits(side, vocabulary, some, where)
    instances = NamedInstances(names, columns, some.head, some.vectors, here, there, share)
    found = scoring.compute(scoring.SCORES, instances)
    scored = dict(zip(known.tolist(), zip(*(values.tolist() for values in found.values()))))
    # Labels without scores lose those of an earlier scoring.
    none = (math.nan,) * len(found)
    groups = np.nan_to_num(found["group"]).astype(np.int64)
    names_of = _nearest_names(side, vocabulary, some, groups, where)
    keep_names(dataset, pred_field, names_of)
    values = (_as_stored(scored.get(row, none)) for row in range(len(table)))
    writing.set_attributes(dataset, pred_field, zip(table.samples, table.ids, values))
    make_ready(dataset, pred_field)  # a review comes next
    return ScoreSummary(
        field=pred_field,
        instances=len(known),
        unknown=int(count_as_unknown(found["unknown"], share).sum()),
        groups=int(groups.max(initial=0)),
        seconds=round(time.monotonic() - clock, 3),
    )


def _best_logits(
    side: TextSide, vocabulary: Vocabulary, embeddings: StoredEmbeddings, device: torch.device
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(N,) each: how well the vocabulary's best word fits, and the reference's."""
    found = []
    for words in (vocabulary, load_vocabulary(_REFERENCE)):
        synonyms = _synonyms(side, words, device)
        parts = list(_logits(synonyms, embeddings, side.fusion))
        found.append(np.concatenate(parts) if parts else np.zeros(0))
    return found[0], found[1]


def _synonyms(side: TextSide, words: Vocabulary, device: torch.device) -> Synonyms:
    classifier = build_classifier(words, side.text_tower, side.templates, device=str(device))
    rows, owner = torch.from_numpy(classifier.embeddings), torch.from_numpy(classifier.owner)
    return Synonyms(rows.to(device), owner.to(device))


@torch.inference_mode()
def _nearest_names(
    side: TextSide,
    vocabulary: Vocabulary,
    embeddings: StoredEmbeddings,
    groups: npt.NDArray[np.int64],
    device: torch.device,
) -> dict[int, list[str]]:
    """By its number, the words that fit the mean of a group best, whichever vocabulary has them."""
    largest = range(1, min(int(groups.max(initial=0)), _NAMED_GROUPS) + 1)
    if not largest:
        return {}
    members = [embeddings[np.flatnonzero(groups == number)] for number in largest]
    both = np.concatenate(
        [np.stack([m.head.mean(0) for m in members]), np.stack([m.clip.mean(0) for m in members])]
    )
    weight = side.fusion.seen_weight
    found: list[dict[str, tuple[float, str]]] = [{} for _ in largest]
    for words in (vocabulary, *map(load_vocabulary, _NAMING)):
        cosines = _synonyms(side, words, device).nearest(torch.from_numpy(both).to(device))
        head, clip = cosines.cpu().numpy().reshape(2, len(members), -1)
        fits = (1 - weight) * side.fusion.head_scale * head
        fits += weight * side.fusion.clip_scale * clip
        for best, row in zip(found, fits):
            for place in np.argsort(-row)[:_NAMES_A_GROUP].tolist():
                name = words.names[place]
                best.setdefault(name_key(name), (float(row[place]), name))
    return {
        number: [name for _, name in sorted(best.values(), reverse=True)[:_NAMES_A_GROUP]]
        for number, best in zip(largest, found)
    }


@torch.inference_mode()
def _logits(
    synonyms: Synonyms, embeddings: StoredEmbeddings, fusion: Fusion
) -> Iterator[npt.NDArray[np.float64]]:
    for start in range(0, len(embeddings), _CHUNK):
        part = embeddings[np.arange(start, min(start + _CHUNK, len(embeddings)))]
        both = torch.from_numpy(np.concatenate([part.head, part.clip])).to(synonyms.device)
        cosines = synonyms.nearest(both).cpu().numpy()
        yield best_logit(
            cosines[: len(part)],
            cosines[len(part) :],
            weight=fusion.seen_weight,
            head_scale=fusion.head_scale,
            clip_scale=fusion.clip_scale,
        )


def _as_stored(values: Sequence[float]) -> dict[str, Any]:
    """Attributes of one label: None for NaN."""
    return {
        score.name: None if math.isnan(value) else int(value) if score.whole else value
        for score, value in zip(scoring.SCORES, values)
    }
