# --8<-- [start:field]
import fiftyone as fo

dataset = fo.load_dataset("my-dataset")
results = dataset.evaluate_detections(
    "ovsam_boxes", gt_field="ground_truth", method="ovsam", eval_key="eval"
)
# --8<-- [end:field]
