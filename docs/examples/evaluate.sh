# --8<-- [start:folder]
ovsam evaluate ~/coco/val2017 --annotations instances_val2017.json \
    --split coco-48-17 --report report/
# --8<-- [end:folder]
# --8<-- [start:dataset]
ovsam evaluate my-dataset --field ovsam_boxes --gt-field ground_truth
# --8<-- [end:dataset]
