"""Hold the network against golden cases of the reference: equal numbers, within a stated tolerance.

    python benchmarks/parity.py CASES_DIR [--case NAME]

CASES_DIR holds `cases.json` and the arrays that it names. The weights come from
a recipe (`tests/golden/recipe.py`), so nothing is downloaded. Exit code 1 if a tensor is off.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.network.description import NetworkDescription  # noqa: E402
from ovsam_plugin.network.feature_pyramid import (  # noqa: E402
    align_pyramid,
    align_regions,
    pyramid_level,
)
from ovsam_plugin.network.ovsam import OVSAM, Features, mask_boxes  # noqa: E402
from ovsam_plugin.network.prompt_encoder import PromptBatch  # noqa: E402
from ovsam_plugin.network.resample import MaskResampler  # noqa: E402
from ovsam_plugin.prediction import faithful  # noqa: E402
from ovsam_plugin.prediction.predictor import Encoding, Predictor  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.recognition.fusion import Fusion  # noqa: E402
from tests.golden import recipe  # noqa: E402

Array = npt.NDArray[Any]

# Absolute, in float32 on a CPU; the noise of float32 itself is 3 to 10 times smaller.
TOLERANCES = {"feature": 1e-4, "neck": 5e-5, "mask": 5e-5, "logit": 5e-4, "half": 4e-3, "exact": 0}
# Labels whose two best fused scores are closer than this may come out either way.
LABEL_MARGIN = 1e-3


@dataclass(frozen=True)
class Comparison:
    """One tensor against its golden values."""

    case: str
    tensor: str
    absolute: float
    relative: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Inside the tolerance; NaN never is."""
        return self.absolute <= self.tolerance


def compare(case: str, tensor: str, ours: object, golden: Array, kind: str) -> Comparison:
    """The largest absolute and relative difference, NaN in the same places counting as equal."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(golden, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{case} {tensor}: shape {a.shape}, golden {b.shape}")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    difference = np.where(same, 0.0, np.abs(a - b))
    # Half precision keeps 11 bits, so its error grows with the value.
    scale = np.maximum(np.abs(b), 1.0) if kind == "half" else 1.0
    relative = difference / np.maximum(np.abs(b), 1e-3)
    largest = float((difference / scale).max(initial=0))
    return Comparison(case, tensor, largest, float(relative.max(initial=0)), TOLERANCES[kind])


def sample(x: Tensor, most: int = 4096) -> Array:
    """The evenly spaced values (or all) that golden files keep of a large tensor."""
    flat = x.flatten()
    n = min(most, flat.numel())
    return flat[(torch.arange(n) * flat.numel()) // n].numpy()


def stats(x: Tensor) -> Array:
    """mean, std, min, max, sum |x|, sum x² in float64."""
    v = x.double()
    parts = (v.mean(), v.std(unbiased=False), v.min(), v.max(), v.abs().sum(), v.square().sum())
    return np.array([float(p) for p in parts])


class Golden:
    """A folder of golden cases.

    Args:
        folder: CASES_DIR.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = folder / "cases.json"
        if not index.is_file():
            raise FileNotFoundError(f"{index} is missing: pass the folder that holds cases.json")
        self.index: dict[str, Any] = json.loads(index.read_text())
        # The splits are facts of COCO and LVIS, the same for every folder of cases.
        own = folder / "base_novel.json"
        self.split_file = own if own.is_file() else ROOT / "tests" / "golden" / own.name
        self.cases: list[dict[str, Any]] = self.index["cases"]
        self._predictors: dict[str, Predictor] = {}
        self._encodings: dict[tuple[str, str], Encoding] = {}

    def arrays(self, name: str) -> Any:
        """One npz of the folder."""
        return np.load(self.folder / name)

    def image(self, name: str) -> npt.NDArray[np.uint8]:
        """A synthetic photograph, made from its name."""
        return recipe.image(name, *self.index["images"][name]["ori_hw"])

    def predictor(self, model: str) -> Predictor:
        """The network of a model with the recipe's weights; one is kept at a time."""
        if model not in self._predictors:
            self._predictors.clear()
            self._encodings.clear()
            self._predictors[model] = Predictor(
                recipe_network(self.index["models"][model], model),
                get_preset("ovsam-rn50x16-coco"),
                "recipe",
            )
        return self._predictors[model]

    def encoding(self, model: str, image: str) -> Encoding:
        """One image encoded by one model, once."""
        key = model, image
        if key not in self._encodings:
            predictor = self.predictor(model)
            (self._encodings[key],) = predictor.encode([predictor.preprocess(self.image(image))])
        return self._encodings[key]


def describe(model: dict[str, Any], name: str) -> NetworkDescription:
    """The description of a golden model."""
    return NetworkDescription(
        encoder=f"clip:{name}",
        embed_dim=model["clip_dim"],
        neck_dim=model["embed_channels"],
        encoder_roi_size=model["clip_feat_size"],
        roi_size=model["head_roi_output_size"],
    )


def recipe_network(model: dict[str, Any], name: str) -> OVSAM:
    """A network whose every weight is the recipe's."""
    with torch.device("meta"):
        network = OVSAM(describe(model, name))
    state = {
        key: torch.from_numpy(np.asarray(recipe.make(key, tuple(value.shape))))
        for key, value in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval()


def compare_features(golden: Golden, model: str, image: str) -> Iterator[Comparison]:
    """Encoder, pyramid and neck outputs of one image."""
    name = f"{model}/{image}"
    z = golden.arrays(golden.index["models"][model]["feats"][image])
    pixels = golden.image(image)
    encoding = golden.encoding(model, image)
    for tensor, array in (("image", pixels), ("resized", encoding.frame.pixels)):
        digest = np.frombuffer(hashlib.sha256(array.tobytes()).digest(), dtype=np.uint8)
        yield compare(name, f"{tensor} (sha256)", digest, z[f"{tensor}_sha256"], "exact")
    predictor = golden.predictor(model)
    with torch.inference_mode():
        batch = predictor.pixels([encoding.frame])
        stages = predictor.network.backbone(batch)
        dense_pe = predictor.network.pe.get_dense_pe()
    features = encoding.features
    tensors = {"input": batch, "neck": features.image, "dense_pe": dense_pe}
    tensors |= {f"c{i}": stage for i, stage in enumerate(stages, 2)}
    tensors |= {f"p{i}": level for i, level in enumerate(features.pyramid, 2)}
    for tensor, value in tensors.items():
        kind = "neck" if tensor == "neck" else "feature"
        yield compare(name, tensor, sample(value), z[f"{tensor}_s"], kind)
        spread = z[f"{tensor}_stats"]
        ours = stats(value)[:4]
        yield compare(name, f"{tensor} mean, std, min, max", ours, spread[:4], "feature")
        if tensor == "neck":
            yield compare(name, "neck slice", value[0, :8].numpy(), z["neck_slice"], "neck")
            if "neck_f16" in z:
                whole = z["neck_f16"]
                yield compare(name, "neck whole (half)", value[0].numpy(), whole, "half")
        elif f"{tensor}_slice" in z:
            h, w = value.shape[-2:]
            cut = value[0, :8, :: h // 16, :: w // 16].numpy()
            yield compare(name, f"{tensor} slice", cut, z[f"{tensor}_slice"], kind)


def compare_case(golden: Golden, case: dict[str, Any]) -> Iterator[Comparison]:
    """Prompts, masks, both branches, fusion and labels of one case."""
    name, model = case["id"], case["model"]
    z = golden.arrays(case["file"])
    network = golden.predictor(model).network
    encoding = golden.encoding(model, case["image"])
    shift = network.mask_decoder.mask_decoder.output_hypernetworks_mlps[0].layers[2].bias
    network.description = replace(network.description, roi_size=case["roi_output_size"][0])
    if case["use_point"]:
        points = torch.from_numpy(z["point_coords"]).float()
        labels = z["point_labels"] if "point_labels" in z else np.ones(points.shape[:2])
        prompts = PromptBatch(points=points, point_labels=torch.from_numpy(labels).float())
    else:
        prompts = PromptBatch(boxes=torch.from_numpy(z["rois_gt_bboxes"]))
    truth = torch.from_numpy(z["clip_rois"])[:, 1:]
    shift.data -= case["bias_shift"]
    seen: dict[str, Any] = {}
    handles = [
        network.mask_decoder.mask_decoder.transformer.register_forward_hook(
            lambda _, inputs, outputs: seen.update(tokens=outputs[0], cells=outputs[1])
        ),
        network.pe.register_forward_hook(
            lambda _, inputs, outputs: seen.update(sparse=outputs[0], dense=outputs[1])
        ),
    ]
    try:
        classes = golden_classes(golden, case)
        fusion = Fusion(seen_weight=case["alpha"], unseen_weight=case["beta"])
        found = faithful.answer(
            network,
            encoding.features,
            prompts,
            truth,
            classes,
            fusion,
            box_from_mask=case["gen_box"],
        )
        yield from _compare_decoder(name, golden, case, z, found, seen)
        yield from _compare_heads(name, z, network, encoding.features, found, truth)
        yield from _compare_labels(name, case, z, found)
        yield from _compare_masks(name, golden, case, encoding, found)
    finally:
        shift.data += case["bias_shift"]
        for handle in handles:
            handle.remove()


def golden_classes(golden: Golden, case: dict[str, Any]) -> faithful.Classes:
    """The synthetic vocabulary of a case."""
    shape = golden.index["vocab"][case["vocab"]]["shape"]
    rows = torch.from_numpy(recipe.vocab(case["vocab"], *shape)).flatten(0, 1)
    split = None
    if case["base_novel"]["enabled"]:
        groups = json.loads(golden.split_file.read_text())
        split = torch.tensor(groups[case["config"]])
    owner = torch.arange(shape[0]).repeat_interleave(shape[1])
    return faithful.Classes(rows, owner, split)


def _compare_decoder(
    name: str,
    golden: Golden,
    case: dict[str, Any],
    z: Any,
    found: faithful.Reference,
    seen: dict[str, Any],
) -> Iterator[Comparison]:
    yield compare(name, "prompt tokens", seen["sparse"], z["sparse_embed"], "feature")
    dense = z["dense_embed_s"]
    yield compare(name, "dense prompt", sample(seen["dense"], len(dense)), dense, "feature")
    yield compare(name, "decoder tokens", seen["tokens"], z["queries"], "feature")
    yield compare(name, "decoder cells", sample(seen["cells"]), z["keys_s"], "feature")
    yield compare(name, "mask logits", sample(found.logits), z["low_res_masks_s"], "mask")
    if "low_res_masks_0" in z:
        yield compare(
            name, "mask logits of the first", found.logits[0, 0], z["low_res_masks_0"], "mask"
        )
    source = golden.arrays(case.get("masks_same_as", case["file"]))
    if "low_res_masks_f16" in source:
        whole = source["low_res_masks_f16"]
        yield compare(name, "mask logits whole (half)", found.logits, whole, "half")


def _compare_heads(
    name: str,
    z: Any,
    network: OVSAM,
    features: Features,
    found: faithful.Reference,
    truth: Tensor,
) -> Iterator[Comparison]:
    zeros = torch.zeros(len(truth), 1)
    head_rois, clip_rois = torch.cat([zeros, found.head_boxes], 1), torch.cat([zeros, truth], 1)
    yield compare(name, "head boxes", head_rois, z["head_rois"], "feature")
    yield compare(name, "head levels", pyramid_level(found.head_boxes), z["head_levels"], "exact")
    sizes = network.description.roi_size, network.description.encoder_roi_size
    regions = align_pyramid(features.pyramid, head_rois, sizes[0])
    yield compare(name, "head regions", sample(regions), z["head_roi_feat_s"], "feature")
    regions = align_regions(features.last, clip_rois, sizes[1], 32)
    yield compare(name, "clip regions", sample(regions), z["clip_roi_feat_s"], "feature")
    for branch in ("head", "clip"):
        embedding = getattr(found.embeddings, branch)[:, None]
        yield compare(name, f"{branch} embedding", embedding, z[f"{branch}_embed"], "feature")
        logits = getattr(found, f"{branch}_logits")[:, None]
        yield compare(name, f"{branch} logits", logits, z[f"{branch}_logits"], "logit")


def _compare_labels(
    name: str, case: dict[str, Any], z: Any, found: faithful.Reference
) -> Iterator[Comparison]:
    yield compare(name, "not empty", found.not_empty, z["valid32"], "exact")
    yield compare(name, "fused", found.fused[:, None], z["fused"], "logit")
    probabilities = found.fused.softmax(-1)[:, :-1]
    yield compare(name, "fused probabilities", probabilities, z["fused_softmax_fg"], "logit")
    clear = np.array(case["label_margin"]) > LABEL_MARGIN
    yield compare(name, "labels", found.labels[clear], z["labels"][clear], "exact")
    for branch in ("head", "clip"):
        golden_labels = z[f"labels_{branch}_only"]
        logits = getattr(found, f"{branch}_logits")[:, :-1]
        best = logits.topk(2, -1).values
        clear = (best[:, 0] - best[:, 1]).numpy() > LABEL_MARGIN
        ours = logits.argmax(-1).numpy()
        yield compare(name, f"labels, {branch} only", ours[clear], golden_labels[clear], "exact")


def _compare_masks(
    name: str,
    golden: Golden,
    case: dict[str, Any],
    encoding: Encoding,
    found: faithful.Reference,
) -> Iterator[Comparison]:
    """Masks at the original size: pixels that are off must be among the ambiguous ones."""
    source = golden.arrays(case.get("masks_same_as", case["file"]))
    height, width = encoding.frame.original_size
    expected = np.unpackbits(source["masks_packed"], axis=-1)[..., :width].astype(bool)
    side = case["batch_input_shape"][0]
    cells = found.logits.shape[-1]
    resampler = MaskResampler.build(cells, side, encoding.frame.size, (height, width))
    ours = np.zeros((len(expected), height, width), dtype=bool)
    low = found.logits[: len(expected), 0]
    for i, x, y, mask in resampler.masks(low, mask_boxes(low > 0).numpy()):
        ours[i, y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    wrong = (ours != expected).sum((1, 2))
    beyond = np.maximum(wrong - source["mask_ambiguous_1e4"], 0)
    yield compare(name, "mask pixels beyond the ambiguous", beyond, np.zeros(len(wrong)), "exact")


def compare_all(golden: Golden, only: str | None) -> Iterator[Comparison]:
    """Every case, or those whose id or name is `only`; the features of an image come first."""
    chosen = [c for c in golden.cases if only is None or only in (c["id"], c["name"])]
    text = golden.index.get("text", {"files": []})
    files = [f for f in text["files"] if only is None or only == Path(f).stem]
    if not chosen and not files:
        ids = ", ".join([*(c["id"] for c in golden.cases), *(Path(f).stem for f in text["files"])])
        raise ValueError(f"no case named {only!r}. Cases: {ids}")
    done = set()
    for case in sorted(chosen, key=lambda c: str(c["model"])):
        key = case["model"], case["image"]
        if key not in done and case["image"] in golden.index["models"][case["model"]]["feats"]:
            yield from compare_features(golden, *key)
        done.add(key)
        yield from compare_case(golden, case)
    if files:
        from benchmarks.parity_text import compare_text

        for file in files:
            yield from compare_text(golden.folder, text, file)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, metavar="CASES_DIR")
    parser.add_argument("--case", metavar="NAME", help="one case, by its id or name")
    args = parser.parse_args()
    console = Console(width=120)
    results = []
    try:
        for result in compare_all(Golden(args.cases), args.case):
            results.append(result)
            verdict = "ok" if result.passed else "[bold red]OFF[/bold red]"
            console.print(
                f"{result.case:32} {result.tensor:36} abs {result.absolute:9.2e} "
                f"rel {result.relative:9.2e} tolerance {result.tolerance:7.0e}  {verdict}",
                highlight=False,
            )
    except (ValueError, FileNotFoundError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    off = sum(not r.passed for r in results)
    console.print(f"{len(results)} tensors, {off} outside their tolerance", highlight=False)
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
