"""One image encoded once, and any number of prompts answered from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from ovsam_plugin.checkpoints.preset_weights import load_drawer, load_network
from ovsam_plugin.hardware.compilation import compiled
from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.hardware.precision import Precision, check_precision, computing_in, pick_precision
from ovsam_plugin.images.frame import Frame, make_frame, padded_size, stack_pixels
from ovsam_plugin.images.tiles import holds, is_small
from ovsam_plugin.network.objectness import Proposals
from ovsam_plugin.network.ovsam import OVSAM, Embeddings, Features, Masks, mask_boxes
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.network.region_masks import BINS, windows
from ovsam_plugin.prediction.decoded import Decoded, fetched
from ovsam_plugin.prediction.finishing import finished
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.prompt_batch import alike, prompt_batch
from ovsam_plugin.prediction.prompts import Prompt
from ovsam_plugin.prediction.sam import SamNetwork
from ovsam_plugin.presets import Preset, get_preset

# SAM's own: how far the threshold is moved to see whether the mask is stable, in logits.
STABILITY_OFFSET = 1.0
# Prompts decoded at once: on a CPU the maps of more fall out of its caches.
CHUNK = 16


@dataclass(frozen=True, eq=False)
class Encoding:
    """One encoded photograph.

    Attributes:
        features: of this image alone (a batch of 1), on the predictor's device.
        frame: what was encoded.
        tiles: of `frame.tiles`, in their order.
        proposals: what the network proposes on it, where they are kept; see `Predictor.proposals`.
        all_proposals: with the second look's, where they are kept; see `proposing`.
    """

    features: Features
    frame: Frame
    tiles: tuple[Encoding, ...] = ()
    proposals: Proposals | None = None
    all_proposals: Proposals | None = None


class Predictor:
    """Encodes photographs and answers prompts; holds no state between calls.

    Args:
        network: with its weights, in evaluation mode, on its device.
        preset: what the network is.
        weights_hash: sha256 of the weights' bytes.
        precision: what it computes with.
        compile: whether the encoder is compiled; see `compiled`.

    Attributes:
        precision: the same, "auto" having become one of the others.

    Raises:
        ValueError: there is no such precision, or this machine cannot compile.
    """

    def __init__(
        self,
        network: OVSAM | SamNetwork,
        preset: Preset,
        weights_hash: str,
        precision: Precision = "fp32",
        compile: bool = False,
    ) -> None:
        # Channels last is the layout that convolutions are fastest in, on CPUs and GPUs alike.
        network.backbone = network.backbone.fused(in_place=True)
        network = network.to(memory_format=torch.channels_last)
        self.network = network.eval().requires_grad_(False)
        self.preset = preset
        self.weights_hash = weights_hash
        self.device = next(network.parameters()).device
        self.precision = pick_precision(precision, self.device)
        self._compiled = compiled(network.encode, self.device) if compile else None

    def at_precision(self, precision: Precision) -> Predictor:
        """The same network computing with another precision; weights are shared, not copied."""
        other = copy(self)
        other.precision = pick_precision(precision, self.device)
        return other

    def preprocess(self, image: npt.NDArray[np.uint8]) -> Frame:
        """`make_frame` for this network."""
        return make_frame(image, self.network.description)

    @torch.inference_mode()
    def encode(self, frames: Sequence[Frame]) -> list[Encoding]:
        """Photographs and their tiles through the encoder, those of one padded size in one pass."""
        tiles = [tile.frame for frame in frames for tile in frame.tiles]
        done = iter(self._encode([*frames, *tiles]))
        whole = [next(done) for _ in frames]
        return [replace(e, tiles=tuple(next(done) for _ in e.frame.tiles)) for e in whole]

    def _encode(self, frames: Sequence[Frame]) -> list[Encoding]:
        groups: dict[tuple[int, int], list[int]] = {}
        for i, frame in enumerate(frames):
            groups.setdefault(padded_size(frame, self.network.description), []).append(i)
        encodings: dict[int, Encoding] = {}
        for size, indices in groups.items():
            encode = self._compiled or self.network.encode
            with self._autocast():
                features = encode(self.pixels([frames[i] for i in indices], size))
            for row, i in enumerate(indices):
                encodings[i] = Encoding(features[row], frames[i])
        return [encodings[i] for i in range(len(frames))]

    def pixels(self, frames: Sequence[Frame], size: tuple[int, int] | None = None) -> Tensor:
        """`stack_pixels` for this network, on its device; the size is the first's by default."""
        description = self.network.description
        size = size or padded_size(frames[0], description)
        return stack_pixels(frames, description, size, self.device)

    @torch.inference_mode()
    def proposals(self, encoding: Encoding) -> Proposals | None:
        """Every cell's guess at a thing, cut to the photograph; None where no head guesses."""
        if encoding.proposals is not None:
            return encoding.proposals
        head = self.network.objectness
        if head is None:
            return None
        with self._autocast():
            found = head(encoding.features.image, encoding.features.pyramid)
        return Proposals(found.logits, encoding.frame.inside(found.boxes))

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
            (order, self.finish(encoding, decoded, inside_boxes=self.preset.inside_boxes))
            for order, decoded in self._everywhere(encoding, prompts, chunk)
        ]
        if not done:
            return self.finish(encoding, self.nothing())
        order = [i for indices, _ in done for i in indices]
        return Instances.concatenate([part for _, part in done])[np.argsort(order)]

    def _everywhere(
        self, encoding: Encoding, prompts: Sequence[Prompt], chunk: int
    ) -> Iterator[tuple[list[int], Decoded]]:
        """`decode_chunks`, small boxes being asked in the tile that shows them best."""
        frame = encoding.frame
        shown = tile_of_each(frame, prompts, self.network.description.image_size)
        for place in sorted(set(shown)):
            rows = [i for i, tile in enumerate(shown) if tile == place]
            asked = [prompts[i] for i in rows]
            if place < 0:
                for part, decoded in self.decode_chunks(encoding, asked, chunk):
                    yield [rows[i] for i in part], decoded
                continue
            tile = frame.tiles[place]
            inside = [prompt.mapped(tile.inward) for prompt in asked]
            for part, decoded in self.decode_chunks(encoding.tiles[place], inside, chunk):
                told = tuple(asked[i] for i in part)
                yield [rows[i] for i in part], decoded.moved(tile, frame, told)

    @torch.inference_mode()
    def decode_chunks(
        self,
        encoding: Encoding,
        prompts: Sequence[Prompt],
        chunk: int = CHUNK,
        *,
        embed: bool = True,
    ) -> Iterator[tuple[list[int], Decoded]]:
        """Answers before upsampling, some at a time, each with the indices of its prompts.

        Prompts of one kind and number of points are decoded together, whatever their order.

        Args:
            encoding, prompts, chunk: as for `decode`.
            embed: whether embeddings are computed; they are zeros else, see `embed`.

        Raises:
            ValueError: a prompt does not lie on the photograph.
        """
        height, width = encoding.frame.original_size
        placed = [prompt.on_image(width, height) for prompt in prompts]
        proposals = None
        for part in alike(placed, chunk):
            alikes = tuple(placed[i] for i in part)
            batch = self._prompt_batch(encoding, alikes)
            if batch.points is not None and proposals is None:
                proposals = self.proposals(encoding)
            yield part, self._decode(encoding, alikes, batch, proposals, embed)

    @torch.inference_mode()
    def embed(self, encoding: Encoding, decoded: Decoded) -> Decoded:
        """The same answers with their embeddings."""
        prompts = decoded.prompts
        if not prompts:
            return decoded
        boxes = decoded.boxes.to(self.device, copy=True)
        own = [self.preset.pool_prompt_box and p.within is not None for p in prompts]
        if any(own):
            boxes[own] = self._asked_boxes(encoding, prompts)
        empty = (decoded.boxes[:, 2:] <= decoded.boxes[:, :2]).any(1, keepdim=True)
        with self._autocast():
            found = self.network.embed(encoding.features, boxes, boxes)
        head, clip = fetched(*(F.normalize(e.float(), dim=-1) for e in found))
        return replace(decoded, embeddings=Embeddings(head.masked_fill(empty, 0.0), clip))

    def _decode(
        self,
        encoding: Encoding,
        prompts: tuple[Prompt, ...],
        batch: PromptBatch,
        proposals: Proposals | None,
        embed: bool,
    ) -> Decoded:
        frame, first = encoding.frame, prompts[0]
        given = first.drawn is not None
        with self._autocast():
            if given:
                masks = self._given(batch)
            else:
                masks = self.network.answer(encoding.features, batch, proposals)
            logits = masks.logits
            cells = mask_boxes(logits > 0)
            boxes = frame.inside(_to_pixels(cells, masks))
            named = boxes
            if given:
                assert batch.boxes is not None
                named = frame.inside(batch.boxes)
            elif self.preset.pool_prompt_box and first.within is not None:
                named = self._asked_boxes(encoding, prompts)
            if embed:
                embeddings = self.network.embed(encoding.features, named, named)
            else:
                nothing = logits.new_zeros((len(logits), self.network.description.embed_dim))
                embeddings = Embeddings(nothing, nothing)
        higher = (logits > STABILITY_OFFSET).sum((1, 2))
        lower = (logits > -STABILITY_OFFSET).sum((1, 2))
        stability = torch.ones_like(higher.float()) if given else higher / lower.clamp(min=1)
        head, clip = (F.normalize(e.float(), dim=-1) for e in embeddings)
        empty = (cells[:, 2:] <= cells[:, :2]).any(1, keepdim=True)
        if not given:  # a given mask has pixels, even where it is too thin for a cell
            head = head.masked_fill(empty, 0.0)
        quality = stability if masks.quality is None else masks.quality
        judged = self.preset.asked(
            thing=masks.thing, quality=masks.quality, stability=stability.float()
        )
        thing = torch.full_like(judged, 0.5) if masks.thing is None else masks.thing
        boxes = boxes.masked_fill(empty, 0.0)
        frames, boxes, stability, quality, thing, judged, head, clip = fetched(
            masks.windows, boxes, stability, quality, thing, judged, head, clip
        )
        return Decoded(
            prompts=prompts,
            logits=logits,
            windows=frames,
            boxes=boxes,
            stability=stability,
            quality=quality,
            thing=thing,
            objectness=judged,
            embeddings=Embeddings(head, clip),
        )

    def _given(self, batch: PromptBatch) -> Masks:
        """Mask prompts as if the network had drawn them, over windows of the answers' size."""
        assert batch.masks is not None
        assert batch.boxes is not None
        if self.network.region_masks is None:
            return Masks.whole(batch.masks[:, 0])
        frames = windows(batch.boxes)
        rois = torch.cat([torch.arange(len(frames), device=self.device)[:, None], frames], 1)
        logits = roi_align(batch.masks, rois, 2 * BINS, 0.25, 1, aligned=True)[:, 0]
        return Masks(logits, frames)

    def nothing(self) -> Decoded:
        """No answer."""
        dim = self.network.description.embed_dim
        cells = 2 * BINS if self.network.region_masks else self.network.description.image_size // 4
        return Decoded(
            (),
            torch.zeros(0, cells, cells, device=self.device),
            torch.zeros(0, 4),
            torch.zeros(0, 4),
            torch.zeros(0),
            torch.zeros(0),
            torch.zeros(0),
            torch.zeros(0),
            Embeddings(torch.zeros(0, dim), torch.zeros(0, dim)),
        )

    def finish(
        self, encoding: Encoding, decoded: Decoded, *, inside_boxes: bool = False
    ) -> Instances:
        """Masks at the photograph's own size, upsampled only inside their own boxes.

        Args:
            encoding: of the photograph.
            decoded: N answers.
            inside_boxes: cut the answer to a box at that box.
        """
        square = None if self.network.region_masks else self.network.description.image_size
        return finished(encoding.frame, decoded, square=square, inside_boxes=inside_boxes)

    def _prompt_batch(self, encoding: Encoding, prompts: Sequence[Prompt]) -> PromptBatch:
        padded = padded_size(encoding.frame, self.network.description)
        return prompt_batch(prompts, encoding.frame, padded, self.device)

    def _asked_boxes(self, encoding: Encoding, prompts: Sequence[Prompt]) -> Tensor:
        """(N, 4) xyxy in input pixels: the boxes that the things of some prompts lie in."""
        frame = encoding.frame
        boxes = np.array([prompt.within for prompt in prompts if prompt.within is not None])
        scaled = (boxes * np.tile(frame.scale, 2)).astype(np.float32)
        return frame.inside(torch.from_numpy(scaled).to(self.device))

    def _autocast(self) -> torch.autocast:
        return computing_in(self.precision, self.device)


def tile_of_each(frame: Frame, prompts: Sequence[Prompt], input_size: int) -> list[int]:
    """The tile that each prompt is asked in: of a small box, one that shows it whole; -1 for the
    whole photograph."""
    place = [-1] * len(prompts)
    within = {i: prompt.within for i, prompt in enumerate(prompts) if prompt.within is not None}
    if not frame.tiles or not within:
        return place
    rows, boxes = list(within), np.array(list(within.values()))
    small = is_small(boxes, frame.original_size, input_size)
    for index, tile in enumerate(frame.tiles):
        for row in np.flatnonzero(small & holds(tile.box, boxes, frame.original_size)).tolist():
            if place[rows[row]] < 0:
                place[rows[row]] = index
    return place


def _to_pixels(cells: Tensor, masks: Masks) -> Tensor:
    """(N, 4) boxes in cells of the masks' logits -> input pixels, float32."""
    h, w = masks.logits.shape[-2:]
    frames = masks.windows
    sides = (frames[:, 2:] - frames[:, :2]) / frames.new_tensor([w, h])
    return frames[:, :2].repeat(1, 2) + cells.to(frames.dtype) * sides.repeat(1, 2)


def load_predictor(
    preset: str | Preset = "ovsam-lite",
    *,
    device: str = "auto",
    weights: Path | str | None = None,
    precision: Precision = "auto",
    compile: bool = False,
) -> Predictor:
    """A predictor with its weights loaded.

    Args:
        preset: a name of `presets.PRESETS`, or a description of one's own.
        device: "auto" takes CUDA, then Apple's MPS, then the CPU; else a torch device.
        weights: a `.safetensors` file of the assembled model; the preset's own when not given.
        precision: "auto" takes half precision where the device is made for it; see `precision`.
        compile: whether the encoder is compiled for this machine; see `compiled`.

    Raises:
        ValueError: no such preset, device or precision, the weights do not fit the network, or
            this machine cannot compile.
        FileNotFoundError: the weights are not on this machine; the message says how to get them.
    """
    check_precision(precision)
    chosen = preset if isinstance(preset, Preset) else get_preset(preset)
    path = Path(weights).expanduser() if weights else None
    network: OVSAM | SamNetwork
    if chosen.network.encoder == "sam":
        network, weights_hash = load_drawer(chosen, path)
    else:
        network, weights_hash = load_network(chosen, path)
    return Predictor(network.to(pick_device(device)), chosen, weights_hash, precision, compile)
