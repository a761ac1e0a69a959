# --8<-- [start:folder]
ovsam label ~/photos
ovsam label ~/photos --vocabulary coco --field by_coco --contact-sheet sheet.png
# --8<-- [end:folder]
# --8<-- [start:dataset]
ovsam label my-dataset --box-field ground_truth --vocabulary coco --field ovsam_boxes
# --8<-- [end:dataset]
# --8<-- [start:annotations]
ovsam label ~/coco/val2017 --boxes instances_val2017.json --vocabulary coco --export preds.json
# --8<-- [end:annotations]
# --8<-- [start:find]
ovsam label ~/photos --find "a red cup" --field cups --vocabulary coco
# --8<-- [end:find]
