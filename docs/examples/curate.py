# --8<-- [start:curate]
import fiftyone as fo

from ovsam_plugin import relabel_dataset, score_run, search

dataset = fo.load_dataset("my-dataset")
view = search(dataset, "a red double-decker bus", k=50)  # best first, with their scores
relabel_dataset(dataset, vocabulary=["bus", "tram", "truck"], label_field="vehicles")
score_run(dataset, pred_field="ovsam")
# --8<-- [end:curate]
# --8<-- [start:decide]
from ovsam_plugin import decisions, views

first = views.as_patches(views.doubtful(dataset, "ovsam"), "ovsam").first()
decisions.accept(dataset, "ovsam", first.id)
# --8<-- [end:decide]
# --8<-- [start:class]
from ovsam_plugin import Category, label_dataset, make_class

chosen = view.values("id")[:2]  # instances that show it
make_class(dataset, "our valve", chosen)  # the others are named anew, with this class
search(dataset, "our valve", pred_field="ovsam_our_valve")  # all like these, in every photograph
valve = Category("our valve", examples=chosen, words=False)
label_dataset(dataset, find=valve, label_field="valves")
# --8<-- [end:class]
