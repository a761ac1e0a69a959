"""CLIP2SAM: joint training of the pyramid, the region head and the mask decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pycocotools.coco import COCO
from pydantic import NonNegativeInt, PositiveInt
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from ovsam_plugin.checkpoints.preset_weights import file_sha256, load_network
from ovsam_plugin.files import draft_of
from ovsam_plugin.images.reading import ImageError, read_image
from ovsam_plugin.network.ovsam import OVSAM, Features, mask_boxes
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.presets import Preset, get_preset
from ovsam_plugin.recognition.fusion import with_background
from ovsam_plugin.recognition.synonyms import Synonyms
from ovsam_plugin.training.annotations import is_validation, load_annotations, not_of_split
from ovsam_plugin.training.checkpoint import recorded
from ovsam_plugin.training.crops import Crop, Side, cut, large_scale, unread, whole
from ovsam_plugin.training.data import CocoCrops, Source, endless, normalize
from ovsam_plugin.training.loop import Recipe, Seed, Share, Weight
from ovsam_plugin.training.point_losses import class_loss, point_losses
from ovsam_plugin.training.prompting import random_points
from ovsam_plugin.training.sam2clip import SUFFIXES
from ovsam_plugin.vocabulary.classifier import Classifier, build_classifier
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Clip2SamSettings:
    """What decides a run beside its schedule.

    Attributes:
        images: folder of photographs.
        annotations: COCO or LVIS file of them.
        vocabulary: whose classes the file's categories are, by name or synonym; its synonyms and
            split are used. The file's own names when None.
        split: train on the instances and the classes of this part of the vocabulary alone.
        image_folders: a folder a class (ImageNet's layout), each named by its class or by its
            WordNet id; whole photographs that teach names, and widen the vocabulary.
        image_share: batches of whole photographs, as a share of all.
        preset: whose network is trained.
        weights: an assembled model to start from; its encoder, neck and prompt encoder stay.
        batch: photographs a step.
        prompts: asked of a photograph; fewer instances are filled up with copies.
        max_instances: kept of a photograph.
        crop: side in pixels (a multiple of 32); the network's own when 0.
        class_weight, mask_weight, dice_weight: of the losses.
        background: weight of the background class.
        workers: processes that load.
        kept_back: share of the photographs that is used for validation alone.
    """

    images: Path
    annotations: Path
    vocabulary: str | None = None
    split: Literal["base"] | None = None
    image_folders: Path | None = None
    image_share: Share = 0.5
    preset: str = "ovsam-rn50x16-coco"
    weights: Path
    batch: PositiveInt = 2
    prompts: PositiveInt = 40
    max_instances: PositiveInt = 100
    crop: Side | Literal[0] = 0
    class_weight: Weight = 2.0
    mask_weight: Weight = 5.0
    dice_weight: Weight = 5.0
    background: Weight = 0.1
    workers: NonNegativeInt = 2
    kept_back: Share = 0.02
    seed: Seed = 0


def _is_of(share: float, kept: bool, name: str) -> bool:
    """Whether a photograph is kept back, or is not."""
    return is_validation(name, share) == kept


class WholePhotographs(Dataset[Crop]):
    """A folder a class, each photograph as one instance whose box is all of it.

    Args:
        folder: in ImageNet's layout.
        index: class index by folder name.
        side, seed: of the crops and of their placing.

    Raises:
        FileNotFoundError: there is no photograph.
    """

    def __init__(self, folder: Path, index: dict[str, int], side: int, seed: int) -> None:
        self.items = [
            (path, index[part.name])
            for part in sorted(folder.iterdir())
            if part.name in index
            for path in sorted(part.iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
        if not self.items:
            raise FileNotFoundError(f"no folders of photographs in {folder}")
        self.side, self.seed, self.epoch = side, seed, 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Crop:
        path, label = self.items[row]
        rng = np.random.default_rng((self.seed, self.epoch, row))
        try:
            picture = read_image(path)
        except ImageError as error:
            return unread(self.side, str(error))
        mask = np.ones(picture.shape[:2], dtype=np.uint8)
        matrix = large_scale(picture.shape[:2], [mask], self.side, rng)
        return replace(cut(picture, [mask], [label], matrix, self.side, 1, rng), whole=True)


class Clip2SamRecipe(Recipe):
    """The paper's joint training.

    Args:
        settings: of the run.
        network: to use in place of the one that the settings name.
        classifier: text embeddings to use in place of those of the preset's text tower; its
            classes in the order of `Clip2SamRecipe.vocabulary`.
        preset: of the network, in place of the one that the settings name.
    """

    name = "clip2sam"
    TRAINED = ("network.fpn_neck.", "network.mask_decoder.")

    def __init__(
        self,
        settings: Clip2SamSettings,
        network: OVSAM | None = None,
        classifier: Classifier | None = None,
        preset: Preset | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        preset = preset or get_preset(settings.preset)
        self.scale = preset.fusion.head_scale
        weights = None
        if network is None:
            network, weights = load_network(preset, settings.weights)
        self.network = network
        coco = load_annotations(settings.annotations)
        left_out = frozenset(coco.cats[i]["name"] for i in self._left_out(coco))
        self.vocabulary, classes = self._classes([c["name"] for c in coco.cats.values()])
        side = settings.crop or network.description.image_size
        self.data, self.held = (
            CocoCrops(
                [Source(settings.images, coco)],
                jitter=whole if kept else large_scale,
                left_out=left_out,
                keep=partial(_is_of, settings.kept_back, kept),
                crop=side,
                max_instances=settings.max_instances,
                seed=settings.seed,
            )
            for kept in (False, True)
        )
        self.class_of = torch.tensor([classes.get(n, -1) for n in self.data.names])
        self.whole = None
        if settings.image_folders is not None:
            parts = [p.name for p in settings.image_folders.iterdir() if p.is_dir()]
            folders = {name: classes[name] for name in parts}
            self.whole = WholePhotographs(settings.image_folders, folders, side, settings.seed)
        self.data.check()
        self.epoch_steps = max(len(self.data) // settings.batch, 1)
        self.provenance = {
            **recorded(settings),
            "vocabulary": self.vocabulary.name,
            "vocabulary_hash": self.vocabulary.hash,
            "annotations_sha256": file_sha256(settings.annotations),
            "weights_sha256": weights,
        }
        classifier = classifier or build_classifier(
            self.vocabulary, preset.text_tower, preset.templates
        )
        rows = torch.from_numpy(classifier.embeddings)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("owner", torch.from_numpy(classifier.owner), persistent=False)
        self._synonyms = Synonyms(rows, torch.from_numpy(classifier.owner))
        dead = "network.mask_decoder.label_mlp"
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(self.TRAINED) and not name.startswith(dead))

    def _left_out(self, coco: COCO) -> frozenset[int]:
        s = self.settings
        if s.split is None:
            return frozenset()
        vocabulary = load_vocabulary(s.vocabulary) if s.vocabulary else None
        if vocabulary is None or not any(c.split == s.split for c in vocabulary):
            raise ValueError(
                f"split {s.split!r} needs a vocabulary that has one, got {s.vocabulary}: "
                "vocabulary = 'coco' or 'lvis'"
            )
        return not_of_split(coco, vocabulary, s.split)

    def _classes(self, names: list[str]) -> tuple[Vocabulary, dict[str, int]]:
        """The classes that are told apart, and the index of each name that the data uses."""
        s = self.settings
        known = load_vocabulary(s.vocabulary or names)
        categories = [c for c in known.categories if s.split is None or c.split == s.split]
        index = _by_name(categories)
        # The files' own spelling: COCO's "hot dog", LVIS's "hot_dog".
        index |= {n: index[name_key(n)] for n in names if name_key(n) in index}
        unknown = [n for n in names if n not in index]
        if unknown and s.split is None:
            raise ValueError(
                f"{len(unknown)} categories of {s.annotations} are not in {s.vocabulary}: "
                f"{', '.join(unknown[:5])}. Leave vocabulary out to use the file's own names"
            )
        if s.image_folders is not None:
            wordnet = {}
            folders = sorted(p.name for p in s.image_folders.iterdir() if p.is_dir())
            if any(_is_wordnet(name) for name in folders):
                wordnet = wordnet_names()
            for folder in folders:
                name = wordnet.get(folder, folder)
                if name_key(name) not in index:
                    index[name_key(name)] = len(categories)
                    categories.append(Category(name=name))
                index[folder] = index[name_key(name)]
        return Vocabulary(name=known.name, categories=tuple(categories)), index

    def train(self, mode: bool = True) -> Clip2SamRecipe:
        super().train(mode)
        self.network.backbone.eval()
        return self

    def batches(self, start: int, rank: int, world: int) -> Iterator[list[Crop]]:
        s = self.settings
        places = rank, world
        if self.whole is None:
            yield from endless(self.data, s.batch, s.seed, start, s.workers, *places)
            return
        # Which steps read whole photographs follows from the step alone, so that a run resumes.
        before = round(start * s.image_share)
        boxed = endless(self.data, s.batch, s.seed, start - before, s.workers, *places)
        named = endless(self.whole, s.batch, s.seed, before, s.workers, *places)
        step = start
        while True:
            step += 1
            yield next(named if round(step * s.image_share) > before else boxed)
            before = round(step * s.image_share)

    def problems(self, batch: list[Crop]) -> list[str]:
        return [crop.problem for crop in batch if crop.problem]

    def features(self, crops: list[Crop]) -> Features:
        """Of a batch; only the pyramid has a gradient."""
        network = self.network
        with torch.no_grad():
            stages = network.backbone(normalize(crops, network.description).to(network.device))
            image = network.neck(stages)
        return Features(image, network.fpn_neck(stages), stages[3])

    def forward(self, batch: list[Crop], generator: torch.Generator) -> dict[str, Tensor]:
        features = self.features(batch)
        logits, truths, heads, labels = [], [], [], []
        for i, crop in enumerate(batch):
            n = len(crop.boxes)
            if not n:
                continue
            if crop.whole:
                boxes, classes = crop.boxes.to(self.network.device), crop.classes
            else:
                which = padded(n, self.settings.prompts, generator)
                boxes = crop.boxes[which].to(self.network.device)
                classes = self.class_of[crop.classes[which]]
                half = len(which) // 2
                for part, prompts in (
                    (which[:half], PromptBatch(boxes=boxes[:half])),
                    (which[half:], random_points(crop, which[half:], generator)),
                ):
                    if len(part):
                        answered = self.network.decode(features[i], prompts.to(boxes.device))
                        logits.append(answered[:, 0])
                        truths.append(crop.masks[part].to(boxes.device))
            heads.append(self.network.embed(features[i], boxes, boxes).head)
            labels.append(classes.to(boxes.device))
        s = self.settings
        losses = {"class": features.pyramid[0].sum() * 0}
        losses |= dict.fromkeys(("mask", "dice"), losses["class"])
        if heads:
            scores = self.scores(torch.cat(heads))
            value = class_loss(scores, torch.cat(labels), s.background)
            losses["class"] = s.class_weight * value
        if logits:
            entropy, dice = point_losses(torch.cat(logits), torch.cat(truths), generator)
            losses |= {"mask": s.mask_weight * entropy, "dice": s.dice_weight * dice}
        return losses

    def scores(self, embeddings: Tensor) -> Tensor:
        """(N, D) -> (N, K + 1) logits, the background's last and 0."""
        rows = self.get_buffer("rows")
        if rows.device != self._synonyms.device:  # the recipe was moved
            self._synonyms = Synonyms(rows, self.get_buffer("owner"))
        # A cosine in half precision, a hundred times larger, is a logit off by tenths.
        with torch.autocast(rows.device.type, enabled=False):
            return with_background(self._synonyms.nearest(embeddings.float()), self.scale)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mask IoU and accuracy with box prompts on photographs kept back, or on the first few."""
        self.eval()
        data = self.held if len(self.held) else self.data
        ious, right = [], []
        for index in range(min(len(data), 50)):
            crop = data[index]
            if not len(crop.boxes):
                continue
            features = self.features([crop])
            boxes = crop.boxes.to(self.network.device)
            logits = self.network.decode(features[0], PromptBatch(boxes=boxes))
            size = crop.masks.shape[-2:]
            masks = torch.nn.functional.interpolate(logits.float(), size, mode="bilinear")[:, 0] > 0
            truth = crop.masks.to(masks.device)
            overlap, union = (masks & truth).sum((1, 2)), (masks | truth).sum((1, 2))
            ious.append(overlap / union)
            regions = mask_boxes(masks).float()
            heads = self.network.embed(features[0], regions, regions).head
            best = self.scores(heads)[:, :-1].argmax(1)
            right.append((best == self.class_of.to(best.device)[crop.classes]).float())
        if not ious:
            return {"IoU": float("nan"), "accuracy": float("nan")}
        return {"IoU": float(torch.cat(ious).mean()), "accuracy": float(torch.cat(right).mean())}

    def export(self, out: Path) -> None:
        """The assembled model, and the trained parts as they are published."""
        state = {k: v.contiguous() for k, v in self.network.state_dict().items()}
        with draft_of(out / "ovsam.safetensors") as draft:
            save_file(state, draft)
        parts = ("fpn_neck.", "mask_decoder.")
        trained = {k: v for k, v in state.items() if k.startswith(parts)}
        with draft_of(out / "clip2sam.safetensors") as draft:
            save_file(trained, draft)


def padded(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    """`wanted` of `count` instances in random order, with copies where there are too few."""
    order = torch.randperm(count, generator=generator)
    if count >= wanted:
        return order[:wanted]
    copies = torch.randint(count, (wanted - count,), generator=generator)
    return torch.cat([order, copies])[torch.randperm(wanted, generator=generator)]


def wordnet_names() -> dict[str, str]:
    """The first name of every ImageNet synset that timm knows, by its WordNet id."""
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo("imagenet-21k")
    names = info.label_names()
    return {id_: info.label_name_to_description(id_).split(",")[0] for id_ in names}


def _is_wordnet(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdigit()


def _by_name(categories: list[Category]) -> dict[str, int]:
    """Names, then the synonyms that are no other class's name."""
    index = {name_key(c.name): i for i, c in enumerate(categories)}
    for i, category in enumerate(categories):
        for synonym in category.synonyms:
            index.setdefault(name_key(synonym), i)
    return index
