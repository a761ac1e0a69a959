from __future__ import annotations

import threading
import time

import pytest

from ovsam_plugin.interactive import inference_thread
from ovsam_plugin.interactive.inference_thread import InferenceThread


def test_what_somebody_waits_for_comes_first_and_errors_come_back() -> None:
    thread, order, gate = InferenceThread(), list[str](), threading.Event()
    thread.run_ahead(gate.wait)
    thread.run_ahead(lambda: order.append("ahead"))
    asked = threading.Thread(target=lambda: thread.run(lambda: order.append("asked")))
    asked.start()
    time.sleep(0.1)
    gate.set()
    asked.join()
    assert thread.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        thread.run(lambda: 1 // 0)
    thread.settle()
    assert order == ["asked", "ahead"]


def test_work_ahead_waits_for_a_pause_and_no_question_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inference_thread, "QUIET", 0.6)
    thread, started = InferenceThread(), list[float]()
    thread.run(lambda: None)
    last = time.monotonic()
    thread.run_ahead(lambda: started.append(time.monotonic()))
    for _ in range(4):
        time.sleep(0.2)
        asked = time.monotonic()
        thread.run(lambda: None)
        assert time.monotonic() - asked < 0.3
        last = time.monotonic()
    assert started == []
    thread.settle()
    assert started[0] - last > 0.5
