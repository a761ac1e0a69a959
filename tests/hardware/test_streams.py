from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from ovsam_plugin.hardware.streams import compute_on, streams_on

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(usual)


def on_a_thread(work: Callable[[], object]) -> object:
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(work()))
    thread.start()
    thread.join()
    return got[0]


def test_a_cpu_computes_a_few_photographs_at_once() -> None:
    assert streams_on(CPU) == 4
    torch.set_num_threads(64)
    assert streams_on(CPU) == 4
    torch.set_num_threads(1)
    assert streams_on(CPU) == 1


def test_an_accelerator_computes_one_at_a_time() -> None:
    assert streams_on(torch.device("cuda", 0)) == 1


def test_a_thread_computes_on_few_and_all_others_on_as_many_as_before() -> None:
    def few() -> int:
        compute_on(2, 4)
        torch.ones(300, 300) @ torch.ones(300, 300)
        assert on_a_thread(torch.get_num_threads) == 4
        return torch.get_num_threads()

    assert on_a_thread(few) == 2
    assert torch.get_num_threads() == 4
    assert on_a_thread(torch.get_num_threads) == 4
