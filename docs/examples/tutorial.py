# --8<-- [start:photographs]
import shutil
from pathlib import Path

import fiftyone as fo

from ovsam_plugin import demo

Path("photos").mkdir()
for path in demo.photographs():  # or photographs of your own
    shutil.copy(path, "photos")
dataset = fo.Dataset.from_images_dir("photos", name="tutorial", persistent=True)
# --8<-- [end:photographs]
# --8<-- [start:decide]
from fiftyone import ViewField as F

from ovsam_plugin import decisions, views

dataset.reload()  # the commands have written to it
for label in views.doubtful(dataset, "ovsam").values("ovsam.detections", unwind=True):
    print(label.label, f"{label.doubt:.2f}", label.top_labels)
rocket = dataset.match(F("filepath").ends_with("rocket.jpg")).first()["ovsam"].detections
whole = max(rocket, key=lambda label: label.objectness)
decisions.rename(dataset, "ovsam", whole.id, "rocket", by="you")
things = views.not_reviewed(dataset, "ovsam").filter_labels("ovsam", F("objectness") > 0.3)
decisions.accept(dataset, "ovsam", things.values("ovsam.detections.id", unwind=True), by="you")
rest = views.not_reviewed(dataset, "ovsam")
decisions.reject(dataset, "ovsam", rest.values("ovsam.detections.id", unwind=True), by="you")
print(decisions.progress(dataset, "ovsam"))
# --8<-- [end:decide]
# --8<-- [start:export]
from ovsam_plugin import export_clean

written = export_clean(dataset, "ovsam", "ground-truth.json")
print(written.images, written.instances, written.categories)
# --8<-- [end:export]
