"""A class made of some instances, and the others named anew with it."""

from __future__ import annotations

from collections.abc import Sequence

from ovsam_plugin.curation.relabeled_field import new_field_name
from ovsam_plugin.curation.relabeling import RelabelSummary, relabel_dataset
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.overwriting import Overwrite
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.renaming import renamed
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


@renamed(field="pred_field", into="label_field")
def make_class(
    samples: Samples,
    name: str,
    examples: Sequence[str],
    *,
    pred_field: str = "ovsam",
    label_field: str | None = None,
    words: bool = True,
    min_confidence: float | None = None,
    device: str = "auto",
    overwrite: Overwrite = False,
) -> RelabelSummary:
    """Names a run's instances anew, with a class of which these are examples.

    The new field has the run's classes and this one, or this one with more examples where the run
    has it. Asked for in the new field again, the next class joins them.

    Args:
        samples: a dataset or view of images.
        name: of the class.
        examples: ids of labels, or "IMAGE:x1,y1,x2,y2".
        pred_field: a field that `label_dataset` or `relabel_dataset` filled.
        label_field: the new field; `<field>_<name>` when None.
        words: whether the name is read too; False where it says nothing.
        min_confidence: labels below it are left out; None keeps every answer.
        device: "auto", "cpu", "cuda", ...
        overwrite: as for `relabel_dataset`.

    Returns:
        what was done, as of `relabel_dataset`.

    Raises:
        ValueError: as for `relabel_dataset`; or there are no examples, one is gone or shows
            nothing, or the run's classes are not kept.
    """
    return relabel_dataset(
        samples,
        vocabulary=with_example_class(samples, name, examples, field=pred_field, words=words),
        pred_field=pred_field,
        label_field=label_field or new_field_name(pred_field, name_key(name).replace(" ", "_")),
        min_confidence=min_confidence,
        device=device,
        overwrite=overwrite,
    )


def with_example_class(
    samples: Samples, name: str, examples: Sequence[str], *, field: str, words: bool = True
) -> Vocabulary:
    """The classes of a run with one more by example.

    Raises:
        ValueError: there are no examples, or the run's classes are not kept.
    """
    if not examples:
        raise ValueError("a class by example needs at least one example: select instances of it")
    dataset = root_dataset(samples)
    runs.required(dataset, field)
    vocabulary = runs.required_vocabulary(dataset, field)
    place = vocabulary.find(name)
    known = Category(name) if place is None else vocabulary.categories[place]
    return vocabulary.with_class(
        Category(
            known.name,
            known.synonyms,
            known.split,
            known.frequency,
            known.id,
            examples=(*known.examples, *examples),
            words=words,
        )
    )
