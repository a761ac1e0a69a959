"""`ovsam-lite`: every head on a frozen encoder, from photographs with instance masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import open_clip
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.checkpoints.preset_weights import file_sha256
from ovsam_plugin.files import draft_of
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import align_regions
from ovsam_plugin.network.image_encoder import TimmClassifier
from ovsam_plugin.network.objectness import LEVELS, cells_at
from ovsam_plugin.network.ovsam import OVSAM, Features
from ovsam_plugin.network.region_masks import windows
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.annotations import load_annotations
from ovsam_plugin.training.checkpoint import recorded
from ovsam_plugin.training.crops import Crop, mostly_whole, whole
from ovsam_plugin.training.data import UNKNOWN_CLASS, CocoCrops, Source, endless, normalize
from ovsam_plugin.training.imagenet import imagenet_weights, load_timm_by_order
from ovsam_plugin.training.lite_figures import Drawing, named
from ovsam_plugin.training.lite_settings import LiteSettings, Part, part_of
from ovsam_plugin.training.loop import Recipe
from ovsam_plugin.training.losses import mask_loss, name_loss, region_loss
from ovsam_plugin.training.prompting import background_boxes, clicks, jittered, make_prompts
from ovsam_plugin.training.proposals import (
    assign,
    known_cells,
    objectness_loss,
    propose,
    share_inside,
    surest,
)
from ovsam_plugin.training.queries import Queries
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.text import load_text_tower


class LiteRecipe(Recipe):
    """The heads of `ovsam-lite` on random crops.

    Args:
        settings: what decides the run.
        network: of other sizes than the preset's; its weights then fit no preset.

    Raises:
        ValueError: nothing of `start` fits, the annotations are wrong, or what is frozen is no part
            of the network, or all of it.
    """

    name = "lite"
    BOXES, POINTS, NAMED = 12, 3, 12
    # The mask decoder, which answers mask prompts alone, is trained on every second crop.
    COARSE_EVERY = 2
    # Proposals of a crop that the region head judges: the surest, and some behind them.
    SUREST, OTHERS = 8, 2
    # The encoder's blocks from this one on are those that may be trained: stride 32.
    TUNED = 5

    def __init__(self, settings: LiteSettings, network: NetworkDescription | None = None) -> None:
        super().__init__()
        self.settings = settings
        preset = get_preset("ovsam-lite")
        network = network or preset.network
        self.scale = preset.fusion.head_scale
        sources = [
            Source(images, load_annotations(file), complete)
            for files, complete in ((settings.complete, True), (settings.partial, False))
            for images, file in files
        ]
        self.data = self._crops(sources, "train")
        self.data.check()
        self.kept_back = self._crops([s for s in sources if s.complete], "choose")
        self.epoch_steps = max(len(self.data) // settings.batch, 1)
        self.network = OVSAM(network)
        encoder = imagenet_weights()
        load_timm_by_order(self.network, encoder)
        tower = load_text_tower(preset.text_tower, "cpu")
        template = preset.templates[0]
        texts = tower.encode([template.format(name) for name in self.data.names])
        self.register_buffer("texts", torch.from_numpy(texts), persistent=False)
        # The words of classes that are left out are no wrong answers either.
        taught = [i for i, name in enumerate(self.data.names) if name not in self.data.left_out]
        self.register_buffer("taught", torch.tensor(taught), persistent=False)
        imagenet = tower.encode([template.format(n) for n in open_clip.IMAGENET_CLASSNAMES])
        table = self.network.backbone.get_buffer("class_embeddings")
        table.copy_(torch.from_numpy(imagenet))
        self.known = self._start(settings.start)
        files = [file for _, file in (*settings.complete, *settings.partial)]
        self.provenance = {
            "settings": recorded(settings),
            "network": asdict(network),
            "annotations_sha256": [file_sha256(file) for file in files],
            "encoder_sha256": file_sha256(encoder),
            "start_sha256": file_sha256(settings.start) if settings.start else None,
        }
        parts = [name for name, _ in self.network.named_parameters()]
        for part in settings.frozen:  # a misspelt one would be trained
            if not part or not any(name.startswith(part) for name in parts):
                known = ", ".join(dict.fromkeys(name.split(".")[0] for name in parts))
                raise ValueError(f"frozen: no parameter is named {part!r}...: there are {known}")
        dead = ("mask_decoder.label_mlp", *settings.frozen)
        if "masks" not in settings.tasks:
            dead += ("neck", "pe", "mask_decoder.mask_decoder", "mask_decoder.label_token")
            dead += ("objectness", "region_masks")
        tuned = tuple(f"backbone.blocks.{i}." for i in self._tuned if settings.encoder_rate)
        for name, parameter in self.network.named_parameters():
            lives = not name.startswith(dead)
            if name.startswith("backbone."):
                lives &= name.startswith(tuned) if tuned else False
            parameter.requires_grad_(lives)
        if not any(parameter.requires_grad for parameter in self.network.parameters()):
            raise ValueError("frozen: nothing is left to train")
        # What the heads are trained on where it is left as it is; else what it was before any
        # training. Held in a list so that it is no part of the recipe's own parameters.
        original = self.network
        if settings.encoder_rate:
            original = OVSAM(network)
            load_timm_by_order(original, encoder)
        fused = original.backbone.fused().requires_grad_(False)
        # Channels last is the layout that convolutions are fastest in, as at inference.
        self.encoder = [fused.to(memory_format=torch.channels_last)]
        self.network.to(memory_format=torch.channels_last)

    @property
    def _tuned(self) -> range:
        return range(self.TUNED, len(cast(TimmClassifier, self.network.backbone).blocks))

    def _crops(self, sources: Sequence[Source], part: Part) -> CocoCrops:
        s = self.settings
        training = part == "train"
        vocabulary = load_vocabulary("coco")
        names = {c["name"] for source in sources for c in source.coco.cats.values()}
        base = {n for c in vocabulary for n in (c.name, *c.synonyms) if c.split == "base"}
        return CocoCrops(
            sources,
            crop=s.crop,
            max_instances=s.max_instances,
            seed=s.seed,
            regions=s.regions if "masks" in s.tasks and training else (),
            jitter=mostly_whole if training else whole,
            left_out=frozenset(names - base) if s.classes == "base" and training else frozenset(),
            keep=lambda name: part_of(name) == part,
            paste=s.paste and training,
            share=s.share if training else 1.0,
        )

    def _start(self, path: Path | None) -> set[str]:
        if path is None:
            return set()
        try:
            found = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"start: {path} is not a valid safetensors file: {error}") from error
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
            f"start: {len(fits)} of the {len(state)} tensors of {path.name} fit, and "
            f"{len(own) - len(fits)} of the network's {len(own)} start from scratch"
        )
        return {f"network.{k}" for k in fits}

    def rate(self, name: str) -> float:
        if name.startswith("network.backbone."):
            return self.settings.encoder_rate
        return self.settings.known_rate if name in self.known else 1.0

    def train(self, mode: bool = True) -> LiteRecipe:
        super().train(mode)
        self.network.backbone.eval()
        return self

    def batches(self, start: int, rank: int, world: int) -> Iterator[list[Crop]]:
        s = self.settings
        return endless(self.data, s.batch, s.seed, start, s.workers, rank, world)

    def problems(self, batch: list[Crop]) -> list[str]:
        return [crop.problem for crop in batch if crop.problem]

    def encode(self, crops: list[Crop]) -> tuple[Features, Tensor]:
        """Features of a batch, with a gradient where they are trained, and the last stage as the
        encoder that ImageNet trained gives it."""
        device = self.network.device
        pixels = normalize(crops, self.network.description).to(device)
        original = cast(TimmClassifier, self.encoder[0].to(device))
        backbone = cast(TimmClassifier, self.network.backbone)
        with torch.no_grad():
            x = original.bn1(original.conv_stem(pixels))
            early = original.run(x, range(self.TUNED))
            late = original.run(early[-1], self._tuned)
        # Also where they are not trained, `start` may hold later blocks that were.
        with torch.set_grad_enabled(self.settings.encoder_rate > 0 and torch.is_grad_enabled()):
            stages = (*early, *backbone.run(early[-1], self._tuned))
        # Its heads are trained on maps of the same layout as at inference.
        image = self.network.neck(stages) if "masks" in self.settings.tasks else stages[2]
        return Features(image, self.network.fpn_neck(stages), stages[3]), late[-1]

    def forward(self, batch: list[Crop], generator: torch.Generator) -> dict[str, Tensor]:
        features, original = self.encode(batch)
        losses: dict[str, Tensor] = {}
        found: list[Tensor] = [crop.boxes[:0] for crop in batch]
        if "masks" in self.settings.tasks:
            losses, found = self._masks(features, batch, generator)
        if "names" in self.settings.tasks:
            losses |= self._names(features, original, batch, found, generator)
        return losses

    def _masks(
        self, features: Features, batch: list[Crop], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses of all that draws masks or finds things, and the boxes proposed on each crop."""
        head = self.network.region_masks
        assert head is not None
        # What is random is chosen on the CPU, so that every device trains on the same.
        size, device = self.settings.crop, self.network.device
        proposals = propose(self.network, features)
        kinds = ("point", "point", "point", "mask", "box")
        asked, coarse, things, proposed = [], [], [], []
        for i, crop in enumerate(batch):
            proposed.append(crop.boxes[:0])
            if not len(crop.boxes):
                continue
            here = crop.to(device)
            order = torch.randperm(len(crop.boxes), generator=generator)
            kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
            if i % self.COARSE_EVERY == 0:
                which = order[:1]
                prompts = make_prompts(crop, which, kind, generator).to(device)
                logits = self.network.decode(features[i], prompts)
                covered = F.avg_pool2d(here.masks[which].float(), 4)
                coarse.append(mask_loss(logits, covered, here.boxes[which], 4))
                boxes = jittered(crop.boxes[which], size, generator).to(device)
                asked.append(Queries.of(i, here, which, boxes, prompts, logits.detach()))

            which = order[: self.BOXES]
            boxes = jittered(crop.boxes[which], size, generator).to(device)
            asked.append(Queries.of(i, here, which, boxes))

            which = order[: self.POINTS].repeat_interleave(len(LEVELS))
            points = clicks(crop, order[: self.POINTS], 1, generator).to(device)
            assert points.points is not None
            cells = cells_at(points.points[:, 0], (size, size)).flatten()
            boxes = proposals.boxes[i, cells].detach().clamp(0, size)
            asked.append(
                Queries.of(i, here, which, boxes, points.repeat(len(LEVELS)), kind="guess")
            )
            if (crop.classes == UNKNOWN_CLASS).any():
                continue
            target = assign(crop.boxes, crop.masks).to(device)
            here_found = proposals.logits[i], proposals.boxes[i]
            known = known_cells(crop.unknown).to(device)
            things.append(objectness_loss(*here_found, here.boxes, target, known))
            boxes = proposals.boxes[i].detach().clamp(0, size)
            boxes = surest(proposals.logits[i], boxes, self.SUREST, self.OTHERS, generator)
            proposed[-1] = boxes
            which = box_iou(boxes, here.boxes).argmax(1)
            asked.append(Queries.of(i, here, which, boxes, kind="found"))
        zero = features.pyramid[0].sum() * 0
        if not asked:
            return dict.fromkeys(("coarse", "mask", "quality", "whole", "things"), zero), proposed
        all_asked = Queries.concatenate(asked, size)
        drawn = head(
            head.project(features.image, features.pyramid),
            all_asked.boxes,
            index=all_asked.index,
            prompts=all_asked.prompts,
            coarse=all_asked.coarse,
        )
        loss, iou = region_loss(drawn.logits, all_asked.masks, windows(all_asked.boxes))
        fits = F.binary_cross_entropy_with_logits(drawn.quality, iou, reduction="none")
        judged, whole_thing = all_asked.judged(iou)
        surely = F.binary_cross_entropy_with_logits(drawn.thing, whole_thing, reduction="none")
        return {
            "coarse": torch.stack(coarse).mean() if coarse else zero,
            "mask": loss[all_asked.taught(iou)].mean(),
            "quality": fits[~all_asked.found].mean(),
            "whole": surely[judged].mean() if judged.any() else zero,
            "things": torch.stack(things).mean() if things else zero,
        }, proposed

    def _names(
        self,
        features: Features,
        original: Tensor,
        batch: list[Crop],
        found: list[Tensor],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Losses of the names of things, of proposals that hold one or none, and of how far the
        encoder's own opinion has moved from what ImageNet taught it."""
        boxes, labels, index = [], [], []
        texts, device = self.get_buffer("texts"), self.network.device
        for i, crop in enumerate(batch):
            known = torch.nonzero(crop.classes != UNKNOWN_CLASS).squeeze(1)
            if not len(known):
                continue
            known = known[torch.randperm(len(known), generator=generator)[: self.NAMED]]
            empty = background_boxes(crop, 4, generator)
            jitter = jittered(crop.boxes[known], self.settings.crop, generator)
            proposed, held = self._held(crop, found[i].cpu(), len(texts))
            boxes += [jitter, empty, proposed]
            labels += [crop.classes[known], torch.full((len(empty),), len(texts)), held]
            index += [torch.full((len(jitter) + len(empty) + len(proposed),), i)]
        zero = features.pyramid[0].sum() * 0
        if not boxes:
            return {"name": zero, "moved": zero}
        classes, regions = torch.cat(labels).to(device), torch.cat(boxes).to(device)
        owner = torch.cat(index).to(device)
        head = self.network.embed(features, regions, regions, owner).head
        taught = self.get_buffer("taught")
        classes = torch.searchsorted(taught, classes)  # the background stays last
        losses = {"name": name_loss(head, classes, texts[taught], self.scale), "moved": zero}
        if self.settings.encoder_rate:
            rois = torch.cat([owner.to(regions)[:, None], regions], 1)
            losses["moved"] = self._moved(features.last, original, rois)
        return losses

    @staticmethod
    def _held(crop: Crop, boxes: Tensor, background: int) -> tuple[Tensor, Tensor]:
        """The proposals that clearly hold a thing or clearly none, and the classes of these."""
        if not len(boxes):
            return boxes, torch.zeros(0, dtype=torch.int64)
        best, which = box_iou(boxes, crop.boxes).max(1)
        none = (best < 0.2) & (share_inside(crop.unknown, boxes) < 0.2)
        classes = torch.where(none, background, crop.classes[which])
        clear = none | (best > 0.6)
        return boxes[clear], classes[clear]

    def _moved(self, last: Tensor, original: Tensor, rois: Tensor) -> Tensor:
        """Divergence of the ImageNet classes that regions have now from those they had.

        It keeps the second branch's opinion about what training does not show (learning without
        forgetting, arXiv 1606.09282).
        """
        encoder, size = self.network.backbone, self.network.description.encoder_roi_size
        now, before = (
            encoder.get_submodule("classifier")(
                encoder.features(align_regions(stage, rois, size, 32))
            ).float()
            for stage in (last, original)
        )
        return F.kl_div(
            now.log_softmax(-1),
            before.detach().log_softmax(-1),
            reduction="batchmean",
            log_target=True,
        )

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean figures over one crop of each photograph kept back."""
        self.eval()
        sums: dict[str, list[Tensor]] = {}
        generator = torch.Generator().manual_seed(0)
        for index in range(len(self.kept_back)):
            crop = self.kept_back[index]
            if not len(crop.boxes):
                continue
            (features, _), here = self.encode([crop]), crop.to(self.network.device)
            figures = named(self.network, features, here, self.get_buffer("texts"))
            if "masks" in self.settings.tasks:
                drawing = Drawing(self.network, features, crop)
                figures |= drawing.from_boxes()
                figures |= drawing.from_points(generator)
                figures |= drawing.unasked(generator)
            for name, values in figures.items():
                sums.setdefault(name, []).append(values)
        return {name: float(torch.cat(values).mean()) for name, values in sums.items()}

    def export(self, out: Path) -> None:
        """`ovsam-lite.safetensors` in half precision."""
        state = {
            name: (t.half() if t.is_floating_point() else t).contiguous()
            for name, t in self.network.state_dict().items()
        }
        with draft_of(out / "ovsam-lite.safetensors") as draft:
            save_file(state, draft)
