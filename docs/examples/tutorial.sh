# --8<-- [start:label]
ovsam label tutorial --vocabulary coco --contact-sheet sheet.png
# --8<-- [end:label]
# --8<-- [start:search]
ovsam search tutorial "a cup of coffee" -k 3
# --8<-- [end:search]
# --8<-- [start:score]
ovsam score tutorial
# --8<-- [end:score]
# --8<-- [start:evaluate]
ovsam evaluate photos --annotations ground-truth.json
# --8<-- [end:evaluate]
