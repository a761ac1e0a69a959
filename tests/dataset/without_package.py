"""What a colleague does who has not installed this package; run by `test_travelling`.

python -I without_package.py DATASET FOLDER LABEL_ID
"""

from __future__ import annotations

import logging
import sys

sys.modules["ovsam_plugin"] = None  # type: ignore[assignment]

import fiftyone as fo  # noqa: E402

logging.getLogger("fiftyone").setLevel(logging.ERROR)


def look(dataset: fo.Dataset, label_id: str) -> list[str]:
    """Lists, loads and asks everything; the ids of the instances nearest to one."""
    assert dataset.list_runs() == ["ovsam", "ovsam_coco"], dataset.list_runs()
    for key in dataset.list_runs():
        assert dataset.get_run_info(key).config.vocabulary
        dataset.load_run_results(key)
    assert dataset.list_brain_runs() == ["ovsam_similarity"]
    assert dataset.list_brain_runs(type="similarity") == ["ovsam_similarity"]
    assert dataset.list_evaluations() == ["e"]
    assert dataset.get_evaluation_info("e").config.protocol == "detector"
    results = dataset.load_evaluation_results("e")
    assert "Acc" in results.metrics()
    dataset.load_evaluation_view("e")
    index = dataset.load_brain_results("ovsam_similarity")
    assert index.config.model == "ovsam-lite-text"
    near = dataset.to_patches("ovsam").sort_by_similarity(
        label_id, k=3, brain_key="ovsam_similarity"
    )
    return near.values("id")


name, folder, label_id = sys.argv[1:]
dataset = fo.load_dataset(name)
# First the export: after a search FiftyOne's vectors are shifted.
dataset.export(export_dir=f"{folder}/before", dataset_type=fo.types.FiftyOneDataset)
near = look(dataset, label_id)
dataset.export(export_dir=f"{folder}/after", dataset_type=fo.types.FiftyOneDataset)
clone = dataset.clone()
copy = fo.Dataset.from_dir(
    dataset_dir=f"{folder}/before", dataset_type=fo.types.FiftyOneDataset, name=f"{name}-copy"
)
copy.persistent = True
for one in (clone, copy):
    assert look(one, label_id) == near
clone.rename_sample_field("ovsam_coco", "other")
clone.delete_brain_runs()
clone.delete_evaluations()
clone.delete_runs()
assert not [*clone.list_runs(), *clone.list_brain_runs(), *clone.list_evaluations()]
assert "e_tp" not in clone.get_field_schema()
clone.delete()
assert sys.modules["ovsam_plugin"] is None
print("\n".join(near))
