"""`ovsam-lite`: every head on a frozen encoder, from photographs with instance masks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import open_clip
import torch
import torch.nn.functional as F
from pycocotools.coco import COCO
from pydantic import NonNegativeInt, PositiveInt
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ovsam_plugin.checkpoint import file_sha256
from ovsam_plugin.network.objectness import LEVELS, cells_at
from ovsam_plugin.network.ovsam import OVSAM, Features
from ovsam_plugin.network.region_masks import windows
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.annotations import load_annotations, not_of_split
from ovsam_plugin.training.asked import Asked
from ovsam_plugin.training.crops import Crop, Side
from ovsam_plugin.training.data import UNKNOWN_CLASS, CocoCrops, endless, normalize
from ovsam_plugin.training.engine import Recipe
from ovsam_plugin.training.imagenet import imagenet_weights, load_timm_by_order
from ovsam_plugin.training.losses import mask_loss, name_loss, region_loss
from ovsam_plugin.training.prompting import background_boxes, clicks, jittered, make_prompts
from ovsam_plugin.training.proposals import assign, objectness_loss
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.text import load_text_tower


@dataclass(frozen=True, kw_only=True)
class LiteSettings:
    """What decides a run beside its schedule; written beside its weights.

    Attributes:
        images: folder of photographs.
        annotations: COCO file of them.
        regions: folders (photographs, MATLAB ground truth) in the layout of BSDS500.
        start: weights to go on from, of which every tensor that fits is taken; told when it runs.
        frozen: parts that are not trained, by the first words of their parameters' names.
        known_rate: learning rate of the parameters that `start` holds, as a share of the others'.
        tasks: of "masks" and "names", what is trained.
        classes: "all", or "base": instances of the base classes alone, for figures on classes that
            training never saw.
        batch, crop: photographs a step, and side of their square crops, a multiple of 32 pixels.
        max_instances: kept a crop.
        workers: processes that load.
    """

    images: Path
    annotations: Path
    regions: tuple[tuple[Path, Path], ...] = ()
    start: Path | None = None
    frozen: tuple[str, ...] = ()
    known_rate: float = 1.0
    tasks: tuple[Literal["masks", "names"], ...] = ("masks", "names")
    classes: Literal["all", "base"] = "all"
    batch: PositiveInt = 4
    crop: Side = 448
    max_instances: PositiveInt = 24
    workers: NonNegativeInt = 0
    seed: int = 0


class LiteRecipe(Recipe):
    """The heads of `ovsam-lite` on random crops.

    Raises:
        ValueError: nothing of `start` fits, or the annotations are wrong.
    """

    name = "lite"
    COARSE, BOXES, POINTS, NAMED = 1, 10, 3, 16

    def __init__(self, settings: LiteSettings) -> None:
        super().__init__()
        self.settings = settings
        preset = get_preset("ovsam-lite")
        self.scale = preset.fusion.head_scale
        coco = load_annotations(settings.annotations)
        self.data = self._crops(coco, kept=False)
        self.kept_back = self._crops(coco, kept=True)
        self.epoch_steps = max(len(self.data) // settings.batch, 1)
        self.network = OVSAM(preset.network)
        encoder = imagenet_weights()
        load_timm_by_order(self.network, encoder)
        tower = load_text_tower(preset.text_tower, "cpu")
        template = preset.templates[0]
        texts = tower.encode([template.format(name) for name in self.data.names])
        self.register_buffer("texts", torch.from_numpy(texts), persistent=False)
        imagenet = tower.encode([template.format(n) for n in open_clip.IMAGENET_CLASSNAMES])
        table = self.network.backbone.get_buffer("class_embeddings")
        table.copy_(torch.from_numpy(imagenet))
        self.known = self._start(settings.start)
        self.provenance = {
            "settings": {k: _plain(v) for k, v in asdict(settings).items()},
            "network": asdict(preset.network),
            "annotations_sha256": file_sha256(settings.annotations),
            "encoder_sha256": file_sha256(encoder),
            "start_sha256": file_sha256(settings.start) if settings.start else None,
            "torch": torch.__version__,
        }
        dead = ("backbone", "mask_decoder.label_mlp", *settings.frozen)
        if "masks" not in settings.tasks:
            dead += ("neck", "pe", "mask_decoder.mask_decoder", "mask_decoder.label_token")
            dead += ("objectness", "region_masks")
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(dead))
        # Held in a list so that it is no part of the recipe's own parameters.
        self.encoder = [self.network.backbone.fused().requires_grad_(False)]

    def _crops(self, coco: COCO, *, kept: bool) -> CocoCrops:
        s = self.settings
        base_only = s.classes == "base" and not kept
        return CocoCrops(
            s.images,
            coco,
            crop=s.crop,
            max_instances=s.max_instances,
            seed=s.seed,
            regions=s.regions if "masks" in s.tasks and not kept else (),
            left_out=not_of_split(coco, load_vocabulary("coco"), "base")
            if base_only
            else frozenset(),
            kept=kept,
        )

    def _start(self, path: Path | None) -> set[str]:
        if path is None:
            return set()
        try:
            found = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"start: {path} is not a sound safetensors file: {error}") from error
        state = {k: v.float() if v.is_floating_point() else v for k, v in found.items()}
        own = self.network.state_dict()
        fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
        if not fits:
            raise ValueError(
                f"start: none of the {len(state)} tensors of {path} has the name and the shape of "
                "one of ovsam-lite's: give an ovsam-lite.safetensors, or leave start out"
            )
        self.network.load_state_dict(fits, strict=False)
        self.notice = (
            f"start: {len(fits)} of the {len(state)} tensors of {path.name} fit, "
            f"and {len(own) - len(fits)} of the network's {len(own)} start anew"
        )
        return {f"network.{k}" for k in fits}

    def rate(self, name: str) -> float:
        return self.settings.known_rate if name in self.known else 1.0

    def train(self, mode: bool = True) -> LiteRecipe:
        super().train(mode)
        self.network.backbone.eval()
        return self

    def batches(self, start: int, rank: int, world: int) -> Iterator[list[Crop]]:
        s = self.settings
        return endless(self.data, s.batch, s.seed, start, s.workers, rank, world)

    def encode(self, crops: list[Crop]) -> Features:
        """Features of a batch, with a gradient where they are trained."""
        device = self.network.device
        pixels = normalize(crops, self.network.description).to(device)
        with torch.no_grad():
            stages = self.encoder[0].to(device)(pixels)
        masks = "masks" in self.settings.tasks
        image = self.network.neck(stages) if masks else stages[2]
        return Features(image, self.network.fpn_neck(stages), stages[3])

    def forward(self, batch: list[Crop], generator: torch.Generator) -> dict[str, Tensor]:
        features = self.encode(batch)
        losses: dict[str, Tensor] = {}
        if "masks" in self.settings.tasks:
            losses |= self._masks(features, batch, generator)
        if "names" in self.settings.tasks:
            losses |= self._names(features, batch, generator)
        return losses

    def _masks(
        self, features: Features, batch: list[Crop], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses of all that draws masks or finds things."""
        head, objectness = self.network.region_masks, self.network.objectness
        assert head is not None
        assert objectness is not None
        # What is random is chosen on the CPU, so that every device trains on the same.
        size, device = self.settings.crop, self.network.device
        proposals = objectness(features.pyramid)
        kinds = ("point", "point", "point", "mask", "box")
        asked, coarse, things = [], [], []
        for i, crop in enumerate(batch):
            if not len(crop.boxes):
                continue
            here = crop.to(device)
            order = torch.randperm(len(crop.boxes), generator=generator)
            kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
            which = order[: self.COARSE]
            prompts = make_prompts(crop, which, kind, generator).to(device)
            logits = self.network.decode(features[i], prompts)
            covered = F.avg_pool2d(here.masks[which].float(), 4)
            coarse.append(mask_loss(logits, covered, here.boxes[which], 4))
            boxes = jittered(crop.boxes[which], size, generator).to(device)
            asked.append(Asked.of(i, here, which, boxes, prompts, logits.detach()))

            which = order[: self.BOXES]
            boxes = jittered(crop.boxes[which], size, generator).to(device)
            asked.append(Asked.of(i, here, which, boxes))

            which = order[: self.POINTS].repeat_interleave(len(LEVELS))
            points = clicks(crop, order[: self.POINTS], 1, generator).to(device)
            assert points.points is not None
            cells = cells_at(points.points[:, 0], (size, size)).flatten()
            boxes = proposals.boxes[i, cells].detach().clamp(0, size)
            asked.append(Asked.of(i, here, which, boxes, points.repeat(len(LEVELS)), guess=True))
            if (crop.classes != UNKNOWN_CLASS).all():
                target = assign(crop.boxes, crop.masks).to(device)
                found = proposals.logits[i], proposals.boxes[i]
                things.append(objectness_loss(*found, here.boxes, target))
        zero = features.pyramid[0].sum() * 0
        if not asked:
            return dict.fromkeys(("coarse", "mask", "quality", "things"), zero)
        all_asked = Asked.concatenate(asked, size)
        logits, quality = head(
            head.project(features.image, features.pyramid),
            all_asked.boxes,
            index=all_asked.index,
            prompts=all_asked.prompts,
            coarse=all_asked.coarse,
        )
        loss, iou = region_loss(logits, all_asked.masks, windows(all_asked.boxes))
        return {
            "coarse": torch.stack(coarse).mean(),
            "mask": loss[all_asked.taught(iou)].mean(),
            "quality": F.binary_cross_entropy_with_logits(quality, iou),
            "things": torch.stack(things).mean() if things else zero,
        }

    def _names(
        self, features: Features, batch: list[Crop], generator: torch.Generator
    ) -> dict[str, Tensor]:
        heads, labels = [], []
        texts = self.get_buffer("texts")
        for i, crop in enumerate(batch):
            known = torch.nonzero(crop.classes != UNKNOWN_CLASS).squeeze(1)
            if not len(known):
                continue
            known = known[torch.randperm(len(known), generator=generator)[: self.NAMED]]
            empty = background_boxes(crop, 6, generator)
            jitter = jittered(crop.boxes[known], self.settings.crop, generator)
            regions = torch.cat([jitter, empty]).to(self.network.device)
            heads.append(self.network.embed(features[i], regions, regions).head)
            labels.append(torch.cat([crop.classes[known], torch.full((len(empty),), len(texts))]))
        if not heads:
            return {"name": features.pyramid[0].sum() * 0}
        classes = torch.cat(labels).to(self.network.device)
        return {"name": name_loss(torch.cat(heads), classes, texts, self.scale)}

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean IoU inside windows and accuracy over one crop of each photograph kept back."""
        self.eval()
        sums: dict[str, list[Tensor]] = {}
        generator = torch.Generator().manual_seed(0)
        for index in range(len(self.kept_back)):
            crop = self.kept_back[index]
            if not len(crop.boxes):
                continue
            one, here = self.encode([crop]), crop.to(self.network.device)
            heads = F.normalize(self.network.embed(one, here.boxes, here.boxes).head, dim=-1)
            cosines = heads @ self.get_buffer("texts").T
            ranks = cosines.topk(min(5, cosines.shape[1])).indices == here.classes[:, None]
            sums.setdefault("top-1", []).append(ranks[:, 0].float())
            sums.setdefault("top-5", []).append(ranks.any(1).float())
            if "masks" not in self.settings.tasks:
                continue
            head, things = self.network.region_masks, self.network.objectness
            assert head is not None
            assert things is not None
            regions = head.project(one.image, one.pyramid)
            logits, _ = head(regions, here.boxes)
            _, iou = region_loss(logits, here.masks, windows(here.boxes))
            sums.setdefault("box IoU", []).append(iou)
            points = clicks(crop, torch.arange(len(crop.boxes)), 1, generator).to(here.boxes.device)
            assert points.points is not None
            size = crop.masks.shape[-1]
            cells = cells_at(points.points[:, 0], (size, size))
            guesses = things(one.pyramid).boxes[0][cells.flatten()].clamp(0, size)
            levels = len(LEVELS)
            logits, quality = head(regions, guesses, prompts=points.repeat(levels))
            owners = torch.arange(len(crop.boxes)).repeat_interleave(levels)
            _, iou = region_loss(logits, here.masks[owners], windows(guesses))
            iou, quality = iou.view(-1, levels), quality.view(-1, levels)
            sums.setdefault("point IoU", []).append(iou.gather(1, quality.argmax(1)[:, None])[:, 0])
            sums.setdefault("point IoU, best of 3", []).append(iou.amax(1))
        return {name: float(torch.cat(values).mean()) for name, values in sums.items()}

    def export(self, out: Path) -> None:
        """`ovsam-lite.safetensors` in half precision, and `run.json` with what made it."""
        state = {
            name: (t.half() if t.is_floating_point() else t).contiguous()
            for name, t in self.network.state_dict().items()
        }
        save_file(state, out / "ovsam-lite.safetensors")
        (out / "run.json").write_text(json.dumps(self.provenance, indent=2) + "\n")


def _plain(value: object) -> object:
    """A setting as JSON has it, without the folders of the machine."""
    if isinstance(value, Path):
        return value.name
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value
