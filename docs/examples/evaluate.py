# --8<-- [start:field]
import fiftyone as fo

from ovsam_plugin import OvsamEvaluationConfig

dataset = fo.load_dataset("my-dataset")
results = dataset.evaluate_detections(
    "ovsam_boxes", gt_field="ground_truth", method=OvsamEvaluationConfig, eval_key="eval"
)
# --8<-- [end:field]
