import fiftyone as fo

dataset = fo.load_dataset("my-dataset")

# --8<-- [start:zoo]
import fiftyone.zoo as foz

model = foz.load_zoo_model("ovsam-lite", vocabulary="coco")
dataset.apply_model(model, label_field="zoo")
dataset.apply_model(model, label_field="zoo_by_box", box_prompt_field="ground_truth")
dataset.apply_model(model, label_field="zoo_by_click", point_prompt_field="clicks")
# --8<-- [end:zoo]
