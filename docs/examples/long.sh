# --8<-- [start:baselines]
ovsam evaluate ~/coco/val2017 --annotations instances_val2017.json \
    --split coco-48-17 --baselines all --report report/
# --8<-- [end:baselines]
# --8<-- [start:calibrate]
ovsam calibrate ~/photos --annotations instances_val2017.json --vocabulary coco
ovsam label ~/photos --vocabulary coco --calibration calibration.json
# --8<-- [end:calibrate]
# --8<-- [start:fetch]
ovsam weights fetch ovsam-rn50x16-lvis     # shows the licence, asks once, about 1.2 GB
ovsam label ~/photos --preset ovsam-rn50x16-lvis --vocabulary open-22k
# --8<-- [end:fetch]
# --8<-- [start:weights]
ovsam weights list
ovsam weights verify ovsam-rn50x16-lvis
ovsam weights path ovsam-rn50x16-lvis
ovsam weights remove ovsam-rn50x16-lvis
# --8<-- [end:weights]
# --8<-- [start:train]
ovsam train sam2clip recipes/sam2clip.toml   # SAM's encoder distilled into the neck
ovsam train clip2sam recipes/clip2sam.toml   # pyramid, head and mask decoder together
ovsam train lite recipes/lite.toml           # ovsam-lite, on your own photographs
ovsam train coop recipes/coop.toml           # a learned context for the baselines
# --8<-- [end:train]
# --8<-- [start:learn]
ovsam learn my-dataset --estimate
ovsam learn my-dataset --adapter names.adapter
ovsam label ~/photos --vocabulary coco --adapter names.adapter
# --8<-- [end:learn]
# --8<-- [start:name]
ovsam name my-dataset --field sam3 --vocabulary lvis
ovsam name my-dataset --field sam3 --namer openclip:ViT-SO400M-16-SigLIP2-384/webli
ovsam name ~/coco/val2017 --predictions preds.json --annotations instances_val2017.json
# --8<-- [end:name]
# --8<-- [start:example]
ovsam label ~/photos --vocabulary "bolt, pipe" --example "our valve=valve.jpg:110,20,410,290"
ovsam search my-dataset valve.jpg:110,20,410,290
# --8<-- [end:example]
# --8<-- [start:app]
ovsam app install
ovsam app open my-dataset
# --8<-- [end:app]
# --8<-- [start:doctor]
ovsam doctor
# --8<-- [end:doctor]
