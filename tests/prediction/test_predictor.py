from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from ovsam_plugin.checkpoints.preset_weights import SHIPPED
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction import predictor as predictor_module
from ovsam_plugin.prediction.judge import Judge
from ovsam_plugin.prediction.predictor import Encoding, Predictor, load_predictor
from ovsam_plugin.prediction.prompts import Box, Mask, Points, Prompt

CAT = (110, 20, 410, 290)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor("ovsam-lite", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    from skimage import data

    return data.chelsea()


@pytest.fixture(scope="module")
def encoding(predictor: Predictor, cat: np.ndarray) -> Encoding:
    return predictor.encode([predictor.preprocess(cat)])[0]


def test_the_long_side_is_resized_to_the_networks(predictor: Predictor) -> None:
    side = predictor.network.description.image_size
    frame = predictor.preprocess(np.zeros((300, 900, 3), dtype=np.uint8))
    assert frame.size == (int(300 * side / 900 + 0.5), side)
    assert frame.original_size == (300, 900)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3, 2)])
def test_odd_shapes_are_encoded_and_answered(predictor: Predictor, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 128, dtype=np.uint8)
    (encoding,) = predictor.encode([predictor.preprocess(image)])
    instances = predictor.decode(encoding, [Box((0, 0, shape[1], shape[0]))])
    assert len(instances) == 1
    assert instances.full_mask(0).shape == shape


@pytest.mark.parametrize(
    ("image", "error", "reason"),
    [
        (np.zeros((4, 4, 3), dtype=np.float32), TypeError, "uint8"),
        (np.zeros((4, 4), dtype=np.uint8), ValueError, "height, width, 3"),
        (np.zeros((0, 4, 3), dtype=np.uint8), ValueError, "height, width, 3"),
    ],
)
def test_what_is_not_an_rgb_photograph_is_refused(
    predictor: Predictor, image: np.ndarray, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        predictor.preprocess(image)


def test_a_box_around_the_cat_gives_the_cats_mask(predictor: Predictor, encoding: Encoding) -> None:
    instances = predictor.decode(encoding, [Box(CAT, id="cat")])
    mask = instances.full_mask(0)
    x1, y1, x2, y2 = CAT
    assert instances.prompts[0].id == "cat"
    assert mask[y1:y2, x1:x2].mean() > 0.4
    outside = mask.copy()
    outside[y1:y2, x1:x2] = False
    assert outside.sum() < 0.1 * mask.sum()
    assert mask[150, 250]
    assert not mask[10, 10]


def test_answers_come_in_the_order_of_prompts_of_any_kind(
    predictor: Predictor, encoding: Encoding
) -> None:
    drawn = np.zeros((300, 451), dtype=bool)
    drawn[50:250, 150:350] = True
    prompts: list[Prompt] = [
        Points(((250.0, 150.0),), id="0"),
        Box(CAT, id="1"),
        Mask(drawn, id="2"),
        Points(((250.0, 150.0), (10.0, 10.0)), (1, 0), id="3"),
        Box((0, 0, 100, 100), id="4"),
        Mask(drawn, refine=True, id="5"),
    ]
    together = predictor.decode(encoding, prompts, chunk=2)
    assert [p.id for p in together.prompts] == [str(i) for i in range(6)]
    for i, prompt in enumerate(prompts):
        alone = predictor.decode(encoding, [prompt])
        differs = together.full_mask(i) != alone.full_mask(0)
        assert differs.mean() < 1e-3
        np.testing.assert_allclose(together.head_embeddings[i], alone.head_embeddings[0], atol=1e-3)


def test_a_mask_that_is_only_named_comes_back_as_it_was(
    predictor: Predictor, encoding: Encoding
) -> None:
    drawn = np.random.default_rng(0).random((300, 451)) < 0.01
    instances = predictor.decode(encoding, [Mask(drawn)])
    np.testing.assert_array_equal(instances.full_mask(0), drawn)
    assert instances.stability[0] == 1
    np.testing.assert_allclose(np.linalg.norm(instances.head_embeddings, axis=1), 1, atol=1e-5)


def test_embeddings_are_unit_vectors(predictor: Predictor, encoding: Encoding) -> None:
    instances = predictor.decode(encoding, [Box(CAT), Points(((250.0, 150.0),))])
    for embeddings in (instances.head_embeddings, instances.clip_embeddings):
        norms = np.linalg.norm(embeddings, axis=1)
        np.testing.assert_allclose(norms[~instances.empty], 1, atol=1e-5)
    assert ((instances.stability >= 0) & (instances.stability <= 1)).all()


def test_embeddings_computed_afterwards_are_those_computed_at_once(
    predictor: Predictor, encoding: Encoding
) -> None:
    boxes = [Box(CAT), Box((10, 10, 60, 80)), Box((300, 100, 440, 290))]
    ((_, whole),) = predictor.decode_chunks(encoding, boxes)
    ((_, plain),) = predictor.decode_chunks(encoding, boxes, embed=False)
    assert not plain.embeddings.head.any()
    assert not plain.embeddings.clip.any()
    own = plain.boxes.clone()
    found = predictor.embed(encoding, plain)
    for ours, expected in zip(found.embeddings, whole.embeddings):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    # What an answer covers is not what was asked for.
    assert torch.equal(plain.boxes, own)
    assert torch.equal(found.boxes, whole.boxes)
    assert torch.equal(found.objectness, whole.objectness)
    empty = replace(plain, boxes=torch.zeros_like(own))
    assert not predictor.embed(encoding, empty).embeddings.head.any()
    nothing = predictor.nothing()
    assert predictor.embed(encoding, nothing) is nothing


def test_objectness_is_judged_as_the_preset_says(
    predictor: Predictor, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[Prompt] = [Box(CAT), Box((0, 0, 60, 60)), Points(((250.0, 150.0),))]
    for judge, evidence in (
        (Judge(thing=1.0), "thing"),
        (Judge(quality=1.0), "quality"),
        (Judge(stability=1.0), "stability"),
    ):
        monkeypatch.setattr(predictor, "preset", replace(predictor.preset, asked=judge))
        for _, decoded in predictor.decode_chunks(encoding, prompts):
            said = getattr(decoded, evidence).clamp(1e-4, 1 - 1e-4)
            torch.testing.assert_close(decoded.objectness, said, atol=1e-5, rtol=1e-4)
        instances = predictor.decode(encoding, prompts)
        assert instances.objectness.dtype == np.float32
        assert ((instances.objectness > 0) & (instances.objectness < 1)).all()


def test_a_given_mask_has_no_opinion_of_a_head_and_is_judged_without(
    predictor: Predictor, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(bias=-1.0, thing=1.0)
    monkeypatch.setattr(predictor, "preset", replace(predictor.preset, asked=judge))
    drawn = np.zeros((300, 451), dtype=bool)
    drawn[50:250, 150:350] = True
    ((_, decoded),) = predictor.decode_chunks(encoding, [Mask(drawn)])
    assert decoded.thing.tolist() == [0.5]
    assert decoded.objectness.tolist() == pytest.approx([0.268941], abs=1e-5)


def test_no_prompt_is_answered_with_no_instance(predictor: Predictor, encoding: Encoding) -> None:
    instances = predictor.decode(encoding, [])
    assert len(instances) == 0
    assert instances.image_size == (300, 451)
    assert instances.head_embeddings.shape == (0, predictor.network.description.embed_dim)


def test_a_prompt_outside_the_photograph_is_refused(
    predictor: Predictor, encoding: Encoding
) -> None:
    with pytest.raises(ValueError, match="outside the 451 x 300 image"):
        predictor.decode(encoding, [Box((500, 0, 600, 100))])


def test_a_photograph_is_encoded_in_a_batch_as_alone(
    predictor: Predictor, cat: np.ndarray, encoding: Encoding
) -> None:
    frames = [predictor.preprocess(cat[:, :200]), predictor.preprocess(cat)]
    batched = predictor.encode(frames)[1]
    a, b = (predictor.decode(e, [Box(CAT)]) for e in (batched, encoding))
    assert (a.full_mask(0) != b.full_mask(0)).mean() < 1e-3
    np.testing.assert_allclose(a.head_embeddings, b.head_embeddings, atol=1e-3)


def test_weights_of_ones_own_are_loaded_from_a_path(tmp_path: Path) -> None:
    state = load_file(SHIPPED / "ovsam-lite.safetensors")
    state["backbone.class_embeddings"][:] = 0
    save_file(state, tmp_path / "mine.safetensors")
    own = load_predictor("ovsam-lite", device="cpu", weights=tmp_path / "mine.safetensors")
    assert not own.network.backbone.class_embeddings.any()
    assert own.weights_hash != load_predictor("ovsam-lite", device="cpu").weights_hash


def test_a_frame_is_small_and_made_on_the_cpu(predictor: Predictor) -> None:
    frame = predictor.preprocess(np.zeros((3000, 4000, 3), dtype=np.uint8))
    side = predictor.network.description.image_size
    assert frame.pixels.nbytes <= side * side * 3
    assert frame.pixels.dtype == np.uint8
    assert Image.fromarray(frame.pixels).size == (side, int(side * 0.75))


def rough(shape: tuple[int, int] = (300, 451)) -> np.ndarray:
    """About where the cat is, with a hole that nobody would draw."""
    mask = np.zeros(shape, dtype=bool)
    mask[20:290, 110:410] = True
    mask[100:200, 200:300] = False
    return mask


@pytest.mark.parametrize("refined_first", [False, True])
def test_a_given_mask_stays_and_a_refined_one_is_drawn_anew_whichever_comes_first(
    predictor: Predictor, encoding: Encoding, refined_first: bool
) -> None:
    prompts = [Mask(rough()), Mask(rough(), refine=True)]
    if refined_first:
        prompts.reverse()
    together = predictor.decode(encoding, prompts)
    given, refined = int(refined_first), 1 - int(refined_first)
    np.testing.assert_array_equal(together.full_mask(given), rough())
    assert together.stability[given] == 1
    drawn = together.full_mask(refined)
    assert drawn[100:200, 200:300].mean() > 0.5  # the cat has no hole
    assert 0 < together.stability[refined] < 1
    for i, prompt in enumerate(prompts):
        alone = predictor.decode(encoding, [prompt])
        np.testing.assert_allclose(together.clip_embeddings[i], alone.clip_embeddings[0], atol=1e-3)
        np.testing.assert_allclose(together.stability[i], alone.stability[0], atol=1e-3)


def test_a_given_mask_is_named_by_its_own_box_and_a_refined_one_by_what_was_drawn(
    predictor: Predictor, encoding: Encoding
) -> None:
    drawn = np.zeros((300, 451), dtype=bool)
    drawn[60:220, 40:430] = True
    scale = np.tile(encoding.frame.scale, 2)
    for refine in (False, True):
        found = predictor.decode(encoding, [Mask(drawn, refine=refine)])
        (_, decoded), *_ = predictor.decode_chunks(encoding, [Mask(drawn, refine=refine)])
        own = torch.from_numpy(np.array([[40, 60, 430, 220]]) * scale).float()
        right, wrong = (decoded.boxes, own) if refine else (own, decoded.boxes)
        off = []
        for box in (right, wrong):
            with torch.inference_mode():
                embedding = predictor.network.embed(encoding.features, box, box).clip
            unit = torch.nn.functional.normalize(embedding, dim=-1).numpy()
            off.append(np.abs(unit - found.clip_embeddings).max())
        assert off[0] < 1e-4
        assert off[1] > 1e-3


def test_stability_is_the_share_that_stays_when_the_threshold_moves_by_one_logit_each_way(
    predictor: Predictor, encoding: Encoding
) -> None:
    prompts = [Box(CAT), Box((300, 150, 330, 180)), Points(((60.0, 60.0),)), Box((0, 0, 90, 40))]
    values = []
    for indices, decoded in predictor.decode_chunks(encoding, prompts):
        logits = decoded.logits
        inner, outer = ((logits > v).sum((1, 2)).double() for v in (1.0, -1.0))
        middle = (logits > 0).sum((1, 2)).double()
        # Each of the two thresholds counts: neither is where the mask itself is cut.
        assert (inner < middle).all()
        assert (middle < outer).all()
        np.testing.assert_allclose(decoded.stability.numpy(), (inner / outer).numpy(), atol=1e-6)
        values += decoded.stability.tolist()
        assert len(indices) == len(decoded.prompts)
    assert max(values) - min(values) > 0.01


def test_a_mask_prompt_keeps_its_crop_and_not_the_photograph(predictor: Predictor) -> None:
    (encoding,) = predictor.encode([predictor.preprocess(np.zeros((2000, 3000, 3), np.uint8))])
    spot = MaskCrop.at(np.ones((6, 9), dtype=bool), 1000, 700)
    prompts = [Mask(spot, size=(2000, 3000)), Mask(spot, refine=True, size=(2000, 3000))]
    given, refined = predictor.decode(encoding, prompts).prompts
    assert isinstance(given, Mask)
    assert isinstance(refined, Mask)
    assert len(pickle.dumps(given)) < 2000
    whole = np.zeros((2000, 3000), dtype=bool)
    whole[700:706, 1000:1009] = True
    of_array = predictor.decode(encoding, [Mask(whole), Mask(whole, refine=True)])
    of_crop = predictor.decode(encoding, prompts)
    for i in range(2):
        np.testing.assert_array_equal(of_crop.full_mask(i), of_array.full_mask(i))
        np.testing.assert_array_equal(of_crop.clip_embeddings[i], of_array.clip_embeddings[i])


def test_threads_with_photographs_of_different_shapes_do_not_disturb_each_other(
    predictor: Predictor,
) -> None:
    rng = np.random.default_rng(0)
    cases = []
    for height, width in ((640, 480), (64, 256)):
        image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), dtype=bool)
        mask[height // 4 : height // 2, width // 4 : width // 2] = True
        (encoding,) = predictor.encode([predictor.preprocess(image)])
        prompts: list[Prompt] = [Mask(mask, refine=True)]
        cases.append((encoding, prompts, predictor.decode(encoding, prompts).full_mask(0)))

    def work(case: tuple[Encoding, list[Prompt], np.ndarray]) -> int:
        encoding, prompts, expected = case
        wrong = 0
        for _ in range(20):
            wrong += not np.array_equal(predictor.decode(encoding, prompts).full_mask(0), expected)
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(work, cases)) == [0, 0]
    finally:
        sys.setswitchinterval(interval)


class Crossings(TorchDispatchMode):
    """What a device would have to wait for, or send, if the CPU were one."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        if name in {"_local_scalar_dense", "nonzero", "item", "equal"}:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


def crossings(
    predictor: Predictor, encoding: Encoding, count: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[torch.Tensor]]:
    """Waits, and tensors that were asked to come to the CPU, of as many boxes in one chunk."""
    sent: list[torch.Tensor] = []
    fetch, cpu = predictor_module.fetched, torch.Tensor.cpu

    def watched(*tensors: torch.Tensor) -> list[torch.Tensor]:
        rows = [t.float().reshape(len(t), -1) for t in tensors]
        sent.append(torch.cat(rows, 1))
        return fetch(*tensors)

    def came(tensor: torch.Tensor) -> torch.Tensor:
        sent.append(tensor)
        return cpu(tensor)

    boxes = [Box((10.0 + i, 20.0, 200.0 + i, 150.0)) for i in range(count)]
    with monkeypatch.context() as patch, Crossings() as mode:
        patch.setattr(predictor_module, "fetched", watched)
        patch.setattr(torch.Tensor, "cpu", came)
        instances = predictor.decode(encoding, boxes, chunk=1000)
    assert not instances.empty.any()
    return mode.waits, sent


def test_no_prompt_makes_the_device_wait_and_no_logits_leave_it(
    predictor: Predictor, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, sent = crossings(predictor, encoding, 3, monkeypatch)
    many, sent_of_many = crossings(predictor, encoding, 60, monkeypatch)
    assert few == many
    assert len(sent) == len(sent_of_many) <= 3
    assert all(tensor.ndim == 2 for tensor in sent_of_many)  # numbers of prompts, and no maps


def test_where_it_is_asked_for_the_encoder_is_compiled(
    predictor: Predictor, cat: np.ndarray, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dynamo's own graph in place of a minute of C++.
    monkeypatch.setattr(
        predictor_module, "compiled", lambda function, _: torch.compile(function, backend="eager")
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    network, preset = predictor.network, predictor.preset
    other = Predictor(network, preset, predictor.weights_hash, "fp32", compile=True)
    (again,) = other.encode([other.preprocess(cat)])
    assert torch.allclose(again.features.image, encoding.features.image, atol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
