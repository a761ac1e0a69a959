# --8<-- [start:label]
import fiftyone as fo

from ovsam_plugin import label_dataset

dataset = fo.load_dataset("my-dataset")
label_dataset(dataset, vocabulary="coco")  # everything
label_dataset(dataset, vocabulary="coco", label_field="by_box", box_field="ground_truth")
label_dataset(dataset, vocabulary=["cat", "dog"], label_field="by_click", point_field="clicks")
# --8<-- [end:label]
