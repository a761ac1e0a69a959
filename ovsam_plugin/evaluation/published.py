"""The authors' own evaluation as a method: `faithful.answer`, which is told the true boxes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ovsam_plugin.images.frame import padded_size
from ovsam_plugin.network.cost import Cost, count, total
from ovsam_plugin.network.ovsam import OVSAM, Embeddings, Masks, mask_boxes
from ovsam_plugin.prediction import faithful
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.prediction.judge import Judge
from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.prediction.predictor import STABILITY_OFFSET
from ovsam_plugin.prediction.prompt_batch import prompt_batch
from ovsam_plugin.prediction.prompts import Prompt
from ovsam_plugin.recognition.recognizer import TOP_K, Recognition


class Published:
    """OVSAM as it was published, oddities and the leak of the true boxes included.

    Args:
        labeler: the network and the whole vocabulary; its classes' splits decide the weights, and
            classes that are neither base nor novel are never answered.
    """

    def __init__(self, labeler: Labeler) -> None:
        self.name = "ovsam (faithful)"
        self.seconds = 0.0
        self._labeler = labeler
        self._predictor = labeler.predictor.at_precision("fp32")
        classifier, device = labeler.recognizer.classifier, labeler.predictor.device
        marks = {"base": faithful.BASE, "novel": faithful.NOVEL, None: faithful.NO_SPLIT}
        split = [marks[category.split] for category in classifier.vocabulary]
        self._classes = faithful.Classes(
            torch.from_numpy(classifier.embeddings).to(device),
            torch.from_numpy(classifier.owner).to(device),
            torch.tensor(split, device=device) if any(split) else None,
        )

    def label(
        self, image: npt.NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> tuple[Instances, Recognition]:
        """Refused: see `label_knowing`.

        Raises:
            ValueError: always.
        """
        raise ValueError("the published evaluation needs a true box for every prompt")

    def cost(self, prompts: int) -> Cost:
        """Of one image with that many box prompts."""
        whole = total(count(self._labeler.predictor.network.description, prompts))
        return Cost(whole.parameters, whole.multiply_adds)

    def label_knowing(
        self,
        image: npt.NDArray[np.uint8],
        prompts: Sequence[Prompt],
        truth_boxes: npt.NDArray[np.float64],
    ) -> tuple[Instances, Recognition]:
        """Masks and names where the encoder's branch looks at the true boxes.

        Args:
            image: (H, W, 3) uint8 RGB.
            prompts: N boxes, or N single points.
            truth_boxes: (N, 4) xyxy in pixels of the image.
        """
        predictor = self._predictor
        start = time.perf_counter()
        (encoding,) = predictor.encode([predictor.preprocess(image)])
        found = [predictor.finish(encoding, predictor.nothing())]
        fused = [torch.zeros(0, len(self._labeler.recognizer.vocabulary) + 1)] * 3
        for i in range(0, len(prompts), self._labeler.chunk):
            part = tuple(prompts[i : i + self._labeler.chunk])
            boxes, scale = truth_boxes[i : i + len(part)], encoding.frame.scale
            from_box = part[0].within is not None
            if from_box:  # with points, true boxes stay in pixels of the original image, misplaced
                boxes = boxes * np.tile(scale, 2)
            padded = padded_size(encoding.frame, predictor.network.description)
            batch = prompt_batch(part, encoding.frame, padded, predictor.device)
            assert isinstance(predictor.network, OVSAM)
            answer = faithful.answer(
                predictor.network,
                encoding.features,
                batch,
                self._tensor(boxes),
                self._classes,
                predictor.preset.fusion,
                # With box prompts the published configurations pool the true box throughout.
                box_from_mask=not from_box,
            )
            found.append(predictor.finish(encoding, _decoded(part, answer, predictor.preset.asked)))
            parts = (answer.fused, answer.head_logits, answer.clip_logits)
            fused = [torch.cat([a, b.float().cpu()]) for a, b in zip(fused, parts)]
        recognition = self._recognition(*fused)
        self.seconds = time.perf_counter() - start
        return Instances.concatenate(found), recognition

    def _recognition(
        self, fused: torch.Tensor, head: torch.Tensor, clip: torch.Tensor
    ) -> Recognition:
        scores = fused.softmax(-1)[:, :-1].nan_to_num(0.0)
        # A row that underflowed is NaN throughout, and answered with class 0.
        best = fused.softmax(-1)[:, :-1].argmax(-1, keepdim=True)
        top_scores, top = scores.topk(min(max(TOP_K, 2), scores.shape[1]), dim=-1)
        scale = self._labeler.predictor.preset.fusion.clip_scale
        columns = (
            best[:, 0],
            scores.gather(1, best)[:, 0],
            head.softmax(-1).gather(1, best)[:, 0],
            clip.softmax(-1).gather(1, best)[:, 0],
            clip.gather(1, best)[:, 0] / scale,
            top_scores[:, 0] - top_scores[:, -1 if scores.shape[1] == 1 else 1],
            head.softmax(-1)[:, -1],
            top,
            top_scores,
        )
        vocabulary = self._labeler.recognizer.vocabulary
        return Recognition(vocabulary, *(column.numpy() for column in columns))

    def _tensor(self, values: npt.NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._labeler.predictor.device)


def _decoded(prompts: tuple[Prompt, ...], answer: faithful.Reference, asked: Judge) -> Decoded:
    logits = answer.logits[:, 0].float()
    higher = (logits > STABILITY_OFFSET).sum((1, 2))
    lower = (logits > -STABILITY_OFFSET).sum((1, 2))
    stability = (higher / lower.clamp(min=1)).float().cpu()
    head, clip = (F.normalize(branch.float(), dim=-1).cpu() for branch in answer.embeddings)
    return Decoded(
        prompts=prompts,
        logits=logits,
        windows=Masks.whole(logits).windows.cpu(),
        boxes=mask_boxes(logits > 0).float().cpu() * 4,
        stability=stability,
        quality=stability,
        thing=torch.full_like(stability, 0.5),
        objectness=asked(stability=stability),
        embeddings=Embeddings(head, clip),
    )
