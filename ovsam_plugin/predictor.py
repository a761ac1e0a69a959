"""One image encoded once, and any number of prompts answered from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from ovsam_plugin.checkpoint import load_network
from ovsam_plugin.instances import Instances, PackedMasks, crop_mask
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.ovsam import OVSAM, Embeddings, Features, mask_boxes
from ovsam_plugin.network.prompt_encoder import PromptBatch, mask_to_logits
from ovsam_plugin.network.resample import MaskResampler
from ovsam_plugin.presets import Preset, get_preset
from ovsam_plugin.prompts import Box, Mask, Points, Prompt

# SAM's own: how far the threshold is moved to see whether the mask is stable, in logits.
STABILITY_OFFSET = 1.0
# Of proposed boxes: how likely a thing, and how much two may overlap.
MIN_OBJECTNESS, PROPOSAL_OVERLAP = 0.15, 0.6
# Prompts decoded at once: on a CPU the maps of more fall out of its caches.
CHUNK = 16


@dataclass(frozen=True, eq=False)
class Frame:
    """A photograph made ready for the encoder; small, on the CPU, safe to send between processes.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, long side resized to the network's.
        original_size: (H, W) of the photograph.
    """

    pixels: npt.NDArray[np.uint8]
    original_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the resized image."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(2,) factors of x and y from the original to the resized image."""
        (h, w), (height, width) = self.size, self.original_size
        return np.array([w / width, h / height])


@dataclass(frozen=True, eq=False)
class Encoding:
    """One encoded photograph.

    Attributes:
        features: of this image alone (a batch of 1), on the predictor's device.
        frame: what was encoded.
    """

    features: Features
    frame: Frame


@dataclass(frozen=True, eq=False)
class Decoded:
    """N answers before they are brought to the photograph's own size; all on the CPU.

    Attributes:
        prompts: the N prompts.
        logits: (N, s, s) float32, over the padded square at a quarter of its size.
        boxes: (N, 4) int64, xyxy in cells of `logits`; zeros for an empty mask.
        stability: (N,) float32 in 0..1.
        embeddings: (N, D) float32 each, unit length; the head's is zero for an empty mask.
    """

    prompts: tuple[Prompt, ...]
    logits: Tensor
    boxes: Tensor
    stability: Tensor
    embeddings: Embeddings

    def __getitem__(self, order: Sequence[int]) -> Decoded:
        """Some of the answers, in this order."""
        index = torch.as_tensor(list(order), dtype=torch.int64)
        return Decoded(
            tuple(self.prompts[i] for i in order),
            self.logits[index],
            self.boxes[index],
            self.stability[index],
            Embeddings(self.embeddings.head[index], self.embeddings.clip[index]),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Decoded]) -> Decoded:
        """At least one part, one after the other."""
        return cls(
            tuple(prompt for part in parts for prompt in part.prompts),
            torch.cat([part.logits for part in parts]),
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.stability for part in parts]),
            Embeddings(
                torch.cat([part.embeddings.head for part in parts]),
                torch.cat([part.embeddings.clip for part in parts]),
            ),
        )


def make_frame(image: npt.NDArray[np.uint8], description: NetworkDescription) -> Frame:
    """Resize so that the long side is the network's.

    Args:
        image: (H, W, 3) uint8 RGB.
        description: of the network; nothing of it but sizes is needed, so that loader processes
            can do this without weights.

    Raises:
        TypeError: it is not uint8.
        ValueError: it is not (H, W, 3) with at least one pixel.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image has dtype {image.dtype}: expected uint8 RGB, 0..255")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image has shape {image.shape}: expected (height, width, 3)")
    height, width = image.shape[:2]
    scale = description.image_size / max(height, width)
    size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    shrink = description.area_downscale and scale < 1
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    pixels = cv2.resize(image, size, interpolation=method)
    return Frame(np.ascontiguousarray(pixels, dtype=np.uint8), (height, width))


def alike(prompts: Sequence[Prompt], chunk: int) -> Iterator[list[int]]:
    """Indices of prompts of one kind and number of points, at most `chunk` at a time."""
    groups: dict[tuple[str, int], list[int]] = {}
    for i, prompt in enumerate(prompts):
        detail = len(prompt.xy) if isinstance(prompt, Points) else 0
        if isinstance(prompt, Mask):
            detail = int(prompt.refine)
        groups.setdefault((prompt.kind, detail), []).append(i)
    for indices in groups.values():
        for start in range(0, len(indices), chunk):
            yield indices[start : start + chunk]


def make_pixels(
    frames: Sequence[Frame], description: NetworkDescription, side: int, device: torch.device
) -> Tensor:
    """(B, 3, side, side) float32 on the device: normalised, then padded with zeros."""
    mean = torch.tensor(description.mean, device=device).view(3, 1, 1)
    std = torch.tensor(description.std, device=device).view(3, 1, 1)
    batch = torch.zeros((len(frames), 3, side, side), device=device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    for i, (frame, (h, w)) in enumerate((frame, frame.size) for frame in frames):
        image = torch.from_numpy(frame.pixels).to(device, non_blocking=True)
        batch[i, :, :h, :w] = (image.permute(2, 0, 1) - mean) / std
    return batch


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where it pays, on CUDA; nothing elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


class Predictor:
    """Encodes photographs and answers prompts; holds no state between calls.

    Args:
        network: with its weights, in evaluation mode, on its device.
        preset: what the network is.
        weights_hash: sha256 of the weights' bytes.
    """

    def __init__(self, network: OVSAM, preset: Preset, weights_hash: str) -> None:
        # Channels last is the layout that convolutions are fastest in, on CPUs and GPUs alike.
        network = network.to(memory_format=torch.channels_last)
        self.network = network.eval().requires_grad_(False)
        self.preset = preset
        self.weights_hash = weights_hash
        self.device = next(network.parameters()).device

    def preprocess(self, image: npt.NDArray[np.uint8]) -> Frame:
        """`make_frame` for this network."""
        return make_frame(image, self.network.description)

    @torch.inference_mode()
    def encode(self, frames: Sequence[Frame]) -> list[Encoding]:
        """One pass of the encoder over a batch of photographs."""
        if not frames:
            return []
        with self._autocast():
            features = self.network.encode(self.pixels(frames))
        return [Encoding(features[i], frame) for i, frame in enumerate(frames)]

    def pixels(self, frames: Sequence[Frame], side: int | None = None) -> Tensor:
        """What the encoder reads: (B, 3, S, S) float32, normalised, then padded with zeros.

        Args:
            frames: each at most S x S.
            side: S; the network's own when not given.
        """
        description = self.network.description
        return make_pixels(frames, description, side or description.image_size, self.device)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], chunk: int = CHUNK
    ) -> Instances:
        """Answers to prompts on one photograph, in the prompts' order.

        Args:
            encoding: from `encode`.
            prompts: of any kinds, in pixels of the original photograph.
            chunk: prompts decoded at once; more is faster on an accelerator and takes more memory.

        Raises:
            ValueError: a prompt does not lie on the photograph.
        """
        done = [
            (order, self.finish(encoding, decoded))
            for order, decoded in self.decode_chunks(encoding, prompts, chunk)
        ]
        if not done:
            return self.finish(encoding, self.nothing())
        order = [i for indices, _ in done for i in indices]
        return Instances.concatenate([part for _, part in done])[np.argsort(order)]

    @torch.inference_mode()
    def decode_chunks(
        self, encoding: Encoding, prompts: Sequence[Prompt], chunk: int = CHUNK
    ) -> Iterator[tuple[list[int], Decoded]]:
        """Answers before upsampling, some at a time, each with the indices of its prompts.

        Prompts of one kind and number of points are decoded together, whatever their order.

        Raises:
            ValueError: a prompt does not lie on the photograph.
        """
        height, width = encoding.frame.original_size
        placed = [prompt.on_image(width, height) for prompt in prompts]
        for part in alike(placed, chunk):
            yield part, self._decode(encoding, tuple(placed[i] for i in part))

    def _decode(self, encoding: Encoding, prompts: tuple[Prompt, ...]) -> Decoded:
        given = isinstance(prompts[0], Mask) and not prompts[0].refine
        batch = self._prompt_batch(encoding.frame, prompts)
        with self._autocast():
            if given:
                assert batch.masks is not None
                logits = batch.masks
            else:
                logits = self.network.decode(encoding.features, batch)
            logits = logits[:, 0].float()
            cells = mask_boxes(logits > 0)
            boxes = self._regions(encoding.frame, batch, prompts, cells)
            embeddings = self.network.embed(encoding.features, boxes, boxes)
        higher = (logits > STABILITY_OFFSET).sum((1, 2))
        lower = (logits > -STABILITY_OFFSET).sum((1, 2))
        stability = torch.ones_like(higher.float()) if given else higher / lower.clamp(min=1)
        head, clip = (F.normalize(e.float(), dim=-1) for e in embeddings)
        empty = (cells[:, 2:] <= cells[:, :2]).any(1, keepdim=True)
        if not given:  # a given mask has pixels, even where it is too thin for a cell
            head = head.masked_fill(empty, 0.0)
        return Decoded(
            prompts=prompts,
            logits=logits.cpu(),
            boxes=cells.cpu(),
            stability=stability.float().cpu(),
            embeddings=Embeddings(head.cpu(), clip.cpu()),
        )

    @torch.inference_mode()
    def propose(self, encoding: Encoding, most: int) -> list[Box]:
        """Boxes of things in pixels of the original photograph, the likeliest first.

        The photograph is also looked at in half its size, where large things are seen whole.

        Args:
            encoding: from `encode`.
            most: boxes at the most.

        Raises:
            ValueError: the network has no head for proposals.
        """
        frame, features = encoding.frame, encoding.features
        h, w = frame.size
        size = (max(1, w // 2), max(1, h // 2))
        smaller = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
        half = replace(frame, pixels=np.asarray(smaller, dtype=np.uint8))
        side = self.network.description.image_size // 2
        with self._autocast():
            small = self.network.encode(self.pixels([half], side))
        found = [self._propose(features, frame), self._propose(small, half)]
        boxes, scores = (torch.cat(column) for column in zip(*found))
        kept = boxes[nms(boxes, scores, PROPOSAL_OVERLAP)[:most]].cpu().tolist()
        return [Box((*box,)) for box in kept]

    def _propose(self, features: Features, frame: Frame) -> tuple[Tensor, Tensor]:
        """(N, 4) likely boxes in pixels of the original photograph and their (N,) scores."""
        if self.network.objectness is None:
            raise ValueError(f"{self.preset.name} proposes no boxes: ask from a grid of points")
        with self._autocast():
            logits, boxes = self.network.objectness(features.image, features.pyramid)
        scores = logits[0].sigmoid()
        scale = self._tensor(np.tile(1 / frame.scale, 2))
        height, width = frame.original_size
        limit = self._tensor(np.array([width, height] * 2))
        boxes = torch.minimum((boxes[0] * scale).clamp(min=0), limit)
        sides = boxes[:, 2:] - boxes[:, :2]
        likely = (scores >= MIN_OBJECTNESS) & (sides >= 1).all(1)
        return boxes[likely], scores[likely]

    def nothing(self) -> Decoded:
        """No answer, of this network's sizes."""
        side, dim = self.network.description.image_size // 4, self.network.description.embed_dim
        return Decoded(
            (),
            torch.zeros(0, side, side),
            torch.zeros(0, 4, dtype=torch.int64),
            torch.zeros(0),
            Embeddings(torch.zeros(0, dim), torch.zeros(0, dim)),
        )

    def finish(self, encoding: Encoding, decoded: Decoded) -> Instances:
        """Masks at the photograph's own size, upsampled only inside their own boxes."""
        frame = encoding.frame
        resampler = MaskResampler.build(
            decoded.logits.shape[-1],
            self.network.description.image_size,
            frame.size,
            frame.original_size,
        )
        boxes, masks = [], []
        for prompt, logits, box in zip(decoded.prompts, decoded.logits, decoded.boxes.tolist()):
            if isinstance(prompt, Mask) and not prompt.refine:
                own, mask = crop_mask(prompt.mask)
            else:
                own, mask = resampler.mask(logits, tuple(box))
            boxes.append(own)
            masks.append(mask)
        return Instances(
            image_size=frame.original_size,
            boxes=np.array(boxes, dtype=np.int64).reshape(-1, 4),
            masks=PackedMasks.pack(masks),
            stability=decoded.stability.numpy(),
            head_embeddings=decoded.embeddings.head.numpy(),
            clip_embeddings=decoded.embeddings.clip.numpy(),
            prompts=decoded.prompts,
        )

    def _prompt_batch(self, frame: Frame, prompts: tuple[Prompt, ...]) -> PromptBatch:
        scale = frame.scale
        if isinstance(prompts[0], Points):
            points = [p for p in prompts if isinstance(p, Points)]
            xy = np.array([p.xy for p in points]) * scale
            labels = np.array([p.labels for p in points])
            return PromptBatch(points=self._tensor(xy), point_labels=self._tensor(labels))
        if isinstance(prompts[0], Box):
            corners = [p.xyxy for p in prompts if isinstance(p, Box)]
            return PromptBatch(boxes=self._tensor(np.array(corners) * np.tile(scale, 2)))
        given = [p.mask for p in prompts if isinstance(p, Mask)]
        boxes = np.array([crop_mask(mask)[0] for mask in given]) * np.tile(scale, 2)
        side = self.network.description.image_size
        masks = [
            mask_to_logits(torch.from_numpy(mask).to(self.device), frame.size, side)
            for mask in given
        ]
        return PromptBatch(boxes=self._tensor(boxes), masks=torch.stack(masks))

    def _regions(
        self, frame: Frame, batch: PromptBatch, prompts: tuple[Prompt, ...], cells: Tensor
    ) -> Tensor:
        """(N, 4) boxes to be named, in input pixels, cut to the photograph.

        Each mask's own box; a box prompt's own where the preset says so.
        """
        boxes = cells.float() * 4
        first = prompts[0]
        known = self.preset.pool_prompt_box and isinstance(first, Box)
        known = known or (isinstance(first, Mask) and not first.refine)
        if known and batch.boxes is not None:
            boxes = batch.boxes
        h, w = frame.size
        limit = torch.tensor([w, h, w, h], device=boxes.device, dtype=boxes.dtype)
        return torch.minimum(boxes.clamp(min=0), limit)

    def _tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _autocast(self) -> torch.autocast:
        return mixed_precision(self.device)


def load_predictor(
    preset: str | Preset = "ovsam-lite",
    *,
    device: str = "auto",
    weights: Path | str | None = None,
) -> Predictor:
    """A predictor with its weights loaded.

    Args:
        preset: a name of `presets.PRESETS`, or a description of one's own.
        device: "auto" takes CUDA, then Apple's MPS, then the CPU; else a torch device.
        weights: a `.safetensors` file of the assembled model; the preset's own when not given.

    Raises:
        ValueError: no such preset or device, or the weights do not fit the network.
        FileNotFoundError: the weights are not on this machine; the message says how to get them.
    """
    chosen = preset if isinstance(preset, Preset) else get_preset(preset)
    network, weights_hash = load_network(chosen, Path(weights) if weights else None)
    return Predictor(network.to(pick_device(device)), chosen, weights_hash)


def pick_device(device: str) -> torch.device:
    """The device that a user's word stands for.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used: {reason}. Try auto or cpu") from error
    return chosen
