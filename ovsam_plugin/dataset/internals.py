"""What this package uses of FiftyOne that FiftyOne does not promise to keep.

Read from FiftyOne 1.22.1. Where a new version has another way, tests/dataset/test_internals.py says
which function here to write anew. Three modules beside this one need the inside of one class each,
and nothing else: `handles` of a dataset's handle, `samples_in_memory` of samples, and
`embedding_backend` of the index that it is a kind of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import fiftyone as fo
import fiftyone.core.collections as foc
from fiftyone.core.models import apply_model
from fiftyone.core.odm import get_db_client, get_db_conn
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

Document = dict[str, Any]


def client() -> MongoClient[Document]:
    """The connection to the database."""
    found: MongoClient[Document] = get_db_client()
    return found


def database() -> Database[Document]:
    """FiftyOne's database."""
    found: Database[Document] = get_db_conn()
    return found


def dataset_id(dataset: fo.Dataset) -> Any:
    """What the database calls a dataset."""
    return dataset._doc.id


def declared_fields(dataset: fo.Dataset) -> set[str] | None:
    """Names of a dataset's fields of samples as the database has them; None if it was deleted."""
    asked = {"_id": dataset_id(dataset)}
    found = database().datasets.find_one(asked, {"sample_fields.name": True})
    return None if found is None else {field["name"] for field in found["sample_fields"]}


def sample_documents(dataset: fo.Dataset) -> Collection[Document]:
    """The collection that has a dataset's samples."""
    found: Collection[Document] = dataset._sample_collection
    return found


def aggregate(samples: foc.SampleCollection, stages: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """The rows that MongoDB's stages make of the samples as a dataset or view shows them."""
    found: Iterator[Any] = iter(samples._aggregate(list(stages)))
    return found


def root_of(samples: foc.SampleCollection) -> fo.Dataset:
    """The dataset that samples come from; of frames or patches, that which they were made from."""
    return samples._root_dataset


def dataset_of(samples: foc.SampleCollection) -> fo.Dataset:
    """The dataset that has the samples; of frames or patches, the one that the view made."""
    return samples._dataset


def is_generated(samples: foc.SampleCollection) -> bool:
    """Whether a view made the samples, as one of frames or patches does."""
    return bool(samples._is_generated)


def is_patches(samples: foc.SampleCollection) -> bool:
    """Whether it is a view of patches, of any kind."""
    return bool(samples._is_patches)


def photograph_key(samples: foc.SampleCollection) -> str:
    """What a sample's document calls the photograph: its own id, or of a patch the id of that
    which it was cut from."""
    name = samples._id_field if is_generated(samples) else "id"
    return str(samples.get_field(name).db_field)


def is_grouped_by_field(samples: foc.SampleCollection) -> bool:
    """Whether it is a view that is grouped by a field."""
    return bool(samples._is_dynamic_groups)


def stages_of(samples: foc.SampleCollection) -> list[Document]:
    """The stages of a view as plain values; none of a dataset."""
    return [] if isinstance(samples, fo.Dataset) else samples._serialize()


def view_of(dataset: fo.Dataset, stages: Iterable[Mapping[str, Any]]) -> foc.SampleCollection:
    """The view that `stages_of` told of; the dataset where there are none."""
    stages = list(stages)
    return fo.DatasetView._build(dataset, stages) if stages else dataset


def stages_of_views(dataset: fo.Dataset) -> dict[str, list[str]]:
    """By the names of a dataset's views, their stages as JSON."""
    return {view.name: list(view.view_stages) for view in dataset._doc.get_saved_views()}


def brain_document(dataset: fo.Dataset, key: str) -> Any:
    """What the database has of a brain run."""
    return dataset._doc.get_brain_methods()[key]


def list_in(label: object) -> str | None:
    """The field of a label type that has a list of labels, such as "detections"; None of one."""
    name = getattr(label, "_LABEL_LIST_FIELD", None)
    return name if isinstance(name, str) else None


def attributes_of(document: object) -> Mapping[str, Any]:
    """The fields of a label type, or of another document, by their names."""
    found: Mapping[str, Any] = getattr(document, "_fields", {})
    return found


def declare_all(dataset: fo.Dataset, fields: Mapping[str, fo.Field]) -> None:
    """Declares fields by their paths at once: one by one, each costs what all cost together."""
    dataset._merge_sample_field_schema(dict(fields))


def declare_like(dataset: fo.Dataset, name: str, field: fo.Field) -> None:
    """Declares a field with all below it, as another one is."""
    dataset._sample_doc_cls.merge_field_schema({name: field}, validate=False)


def declare_on_frames(frames: foc.SampleCollection, schema: Mapping[str, fo.Field]) -> None:
    """Declares fields of a view of frames on the frames of the videos too."""
    root_of(frames)._merge_frame_field_schema(dict(schema))


def refresh_patches(patches: foc.SampleCollection) -> None:
    """Makes the patches of a view, of any kind, anew from their samples."""
    patches._patches_stage.load_view(patches._source_collection, reload=True)


def patched_fields(patches: foc.SampleCollection) -> list[str]:
    """The fields whose labels a view of patches shows."""
    return list(patches._label_fields)


def source_of(patches: foc.SampleCollection) -> foc.SampleCollection | None:
    """What a view of patches was made from; None where further stages choose among the patches."""
    source: foc.SampleCollection = patches._source_collection
    return None if patches._stages else source


def settings_of(config: Any) -> Document:
    """The configuration of a run, as the keywords that make it anew."""
    settings: Document = config.serialize()
    for name in config._virtual_attributes():
        settings.pop(name)
    return settings


def nearest(index: Any, **query: Any) -> Any:
    """What an index of embeddings answers: sample ids, label ids and distances."""
    return index._kneighbors(**query)


def applied_to() -> tuple[foc.SampleCollection, str] | None:
    """The samples and the label field of the `apply_model` that is calling; None of no such call.

    A model is told neither, and has to know both before its labels are written: to refuse a field
    whose labels it must not replace, and to declare what the labels carry.
    """
    called: Callable[..., Any] = inspect.unwrap(apply_model)
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not called.__code__:
        frame = frame.f_back
    return None if frame is None else (frame.f_locals["samples"], frame.f_locals["label_field"])
