from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from ovsam_plugin.training import loop
from ovsam_plugin.training.loop import Schedule, averaged, epochs, run, step_generator
from tests.training import two_processes
from tests.training.line import SCHEDULE, Line, exported, log_rows, quiet, same

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("stop_at", [3, 5, 8])
def test_a_run_that_was_stopped_and_goes_on_ends_with_the_same_weights_to_the_bit(
    whole: tuple[Line, Path], tmp_path: Path, stop_at: int
) -> None:
    """At a checkpoint (3, in the middle of an epoch), between two, and before the last step."""
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(Line(stop_at), out, SCHEDULE, quiet())
    again = Line()
    run(again, out, SCHEDULE, quiet())
    assert again.taken == SCHEDULE.steps - stop_at // 3 * 3
    assert same(again.state_dict(), whole[0].state_dict())
    assert same(exported(out), exported(whole[1]))


def test_a_run_in_bf16_goes_on_to_the_bit_too(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, precision="bf16")
    whole, again = Line(), Line()
    run(whole, tmp_path / "whole", schedule, quiet())
    with pytest.raises(KeyboardInterrupt):
        run(Line(5), tmp_path / "stopped", schedule, quiet())
    run(again, tmp_path / "stopped", schedule, quiet())
    assert again.taken == 6
    assert same(again.state_dict(), whole.state_dict())
    assert same(exported(tmp_path / "stopped"), exported(tmp_path / "whole"))
    AcceleratorState._reset_state()
    plain = Line()
    run(plain, tmp_path / "plain", SCHEDULE, quiet())
    assert not same(plain.state_dict(), whole.state_dict())


def test_the_scale_of_gradients_is_kept_so_that_no_step_is_lost_to_finding_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scaler whose first scale is too large skips steps until it has found a smaller one."""
    scalers: list[torch.amp.GradScaler] = []

    class Scaling(Accelerator):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            scalers.append(torch.amp.GradScaler("cpu", init_scale=2.0**127))
            self.scaler = scalers[-1]  # accelerate has one for fp16, on a GPU alone

    monkeypatch.setattr(loop, "Accelerator", Scaling)
    whole, again = Line(), Line()
    run(whole, tmp_path / "whole", SCHEDULE, quiet())
    with pytest.raises(KeyboardInterrupt):
        run(Line(8), tmp_path / "stopped", SCHEDULE, quiet())
    run(again, tmp_path / "stopped", SCHEDULE, quiet())
    assert again.taken == 3
    assert scalers[0].get_scale() == scalers[2].get_scale() < 2.0**127
    assert same(again.state_dict(), whole.state_dict())


def test_the_log_of_a_stopped_run_has_every_step_once(
    whole: tuple[Line, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Line(5), tmp_path / "stopped", SCHEDULE, quiet())
    assert [step for step, *_ in log_rows(tmp_path / "stopped")] == [1, 2, 3, 4, 5]
    run(Line(), tmp_path / "stopped", SCHEDULE, quiet())
    assert log_rows(tmp_path / "stopped") == log_rows(whole[1])
    assert [step for step, *_ in log_rows(whole[1])] == list(range(1, 10))


def test_losses_are_logged_every_twentieth_step(tmp_path: Path) -> None:
    run(Line(), tmp_path, replace(SCHEDULE, steps=41, validate_every=100), quiet())
    logged = [(step, name) for step, name, _ in log_rows(tmp_path)]
    losses = [(step, name) for step in (20, 40) for name in ("loss/fit", "loss/size")]
    assert logged == [*losses, (41, "validation/first")]


def test_a_run_stopped_while_its_last_weights_are_written_writes_them_when_it_goes_on(
    whole: tuple[Line, Path], tmp_path: Path
) -> None:
    class Killed(Line):
        def export(self, out: Path) -> None:
            if self.taken == SCHEDULE.steps:
                raise KeyboardInterrupt
            super().export(out)

    with pytest.raises(KeyboardInterrupt):
        run(Killed(), tmp_path / "killed", SCHEDULE, quiet())
    run(Line(), tmp_path / "killed", SCHEDULE, quiet())
    assert same(exported(tmp_path / "killed"), exported(whole[1]))
    assert log_rows(tmp_path / "killed") == log_rows(whole[1])


def test_a_finished_run_called_again_takes_no_step(whole: tuple[Line, Path]) -> None:
    _, out = whole
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    again = Line()
    run(again, out, SCHEDULE, quiet())
    assert again.taken == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_averages_are_what_is_written_and_validated_and_not_what_is_trained_on(
    whole: tuple[Line, Path], tmp_path: Path
) -> None:
    plain = Line()
    run(plain, tmp_path / "plain", replace(SCHEDULE, ema=0.0), quiet())
    averaging, out = whole
    assert same(plain.state_dict(), averaging.state_dict())
    assert same(exported(tmp_path / "plain"), plain.state_dict())
    assert not same(exported(out), averaging.state_dict())
    assert same(exported(out), averaging.validated[-1])
    # The average by its definition, from what an unaveraged run validates: the weights themselves.
    start = Line().state_dict()
    average = start["outer.bias"]
    for step, weights in enumerate(plain.validated, 1):
        average = average.lerp(weights["outer.bias"], 1 - min(0.5, step / (step + 10)))
    torch.testing.assert_close(exported(out)["outer.bias"], average)


def test_averages_are_swapped_in_and_out_again_even_after_an_error() -> None:
    parameter = nn.Parameter(torch.ones(2))
    average = {"p": torch.zeros(2)}
    seen = []

    def fail_inside() -> None:
        with averaged({"p": parameter}, average):
            seen.append(parameter.tolist())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert seen == [[0, 0]]
    assert parameter.tolist() == [1, 1]
    assert average["p"].tolist() == [0, 0]


def test_frozen_parameters_stay_and_each_kind_learns_at_its_own_rate(tmp_path: Path) -> None:
    recipe = Line()
    start = {k: v.clone() for k, v in recipe.state_dict().items()}
    run(recipe, tmp_path, replace(SCHEDULE, steps=1, warmup=1, weight_decay=0.0), quiet())
    moved = {k: (v - start[k]).abs().max().item() for k, v in recipe.state_dict().items()}
    assert moved["frozen.weight"] == 0
    # AdamW's first step is the learning rate in every coordinate.
    assert moved["outer.weight"] == pytest.approx(0.05, rel=1e-3)
    assert moved["inner.weight"] == pytest.approx(0.025, rel=1e-3)


def test_the_learning_rate_rises_and_then_falls_to_a_thousandth() -> None:
    schedule = Schedule(steps=100, warmup=10)
    rates = [loop._rate(step, schedule) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1
    assert rates[55] == pytest.approx(0.501)
    assert rates[100] == pytest.approx(1e-3)
    assert sorted(rates[10:], reverse=True) == rates[10:]


@pytest.mark.parametrize("after", [0, 4])
def test_a_loss_that_is_not_finite_stops_the_run_and_says_what_to_do(
    tmp_path: Path, after: int
) -> None:
    recipe = Line()
    run(recipe, tmp_path, replace(SCHEDULE, steps=after), quiet())
    broken = Line()
    broken.x[:] = float("nan")
    with pytest.raises(FloatingPointError, match="lower learning_rate") as caught:
        run(broken, tmp_path, SCHEDULE, quiet())
    said = str(caught.value)
    assert f"the loss is nan at step {after}" in said
    assert ("checkpoint.pt holds" if after else "nothing holds") in said


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_is_taken(tmp_path: Path) -> None:
    class Steep(Line):
        def forward(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
            return {"root": (self.outer.weight * 0).abs().sqrt().sum()}

    recipe = Steep()
    start = {k: v.clone() for k, v in recipe.state_dict().items()}
    with pytest.raises(FloatingPointError, match="the gradient is nan at step 0: lower learning"):
        run(recipe, tmp_path, SCHEDULE, quiet())
    assert same(recipe.state_dict(), start)
    assert not (tmp_path / "line.pt").exists()


def test_weights_that_cannot_be_judged_are_not_written(tmp_path: Path) -> None:
    class Broken(Line):
        def validate(self) -> dict[str, float]:
            raise FloatingPointError("a box is not finite")

    with pytest.raises(FloatingPointError, match="a box is not finite at step 1: lower"):
        run(Broken(), tmp_path, SCHEDULE, quiet())
    assert not (tmp_path / "line.pt").exists()


def test_a_run_goes_on_with_the_learning_rate_that_it_is_given_now(tmp_path: Path) -> None:
    """As the message of a loss that is not finite says to do."""
    run(Line(), tmp_path, replace(SCHEDULE, steps=3), quiet())
    before = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["trained"]
    slow = replace(SCHEDULE, learning_rate=1e-12)
    run(Line(), tmp_path, slow, quiet())
    after = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["trained"]
    torch.testing.assert_close(before, after, rtol=0, atol=1e-9)
    schedules = json.loads((tmp_path / "run.json").read_text())["schedules"]
    told = [(s["step"], s["steps"], s["learning_rate"]) for s in schedules]
    assert told == [(0, 3, 0.05), (3, 9, 1e-12)]


def test_what_cannot_be_read_is_told_once_and_most_of_the_data_stops_the_run(
    tmp_path: Path,
) -> None:
    class Some(Line):
        def problems(self, batch: Tensor) -> list[str]:
            return ["a.jpg is damaged"]

    class All(Line):
        def problems(self, batch: Tensor) -> list[str]:
            return ["a.jpg is damaged", "b.jpg is damaged"]

    console = quiet()
    run(Some(), tmp_path / "some", SCHEDULE, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("left out: a.jpg is damaged") == 1
    with pytest.raises(ValueError, match="12 of 12 photographs could not be used, such as a.jpg"):
        run(All(), tmp_path / "all", SCHEDULE, quiet())


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_process_has_a_part_of_its_own_of_each_epoch(world: int) -> None:
    epoch_of = [epochs(12, 2, 7, 0, rank, world) for rank in range(world)]
    orders = []
    for _ in range(2):
        parts = [[i for batch in next(each) for i in batch] for each in epoch_of]
        assert [len(part) for part in parts] == [12 // world] * world
        orders.append([i for part in parts for i in part])
        assert sorted(orders[-1]) == list(range(12))
    assert orders[0] != orders[1]


@pytest.mark.parametrize("start", [1, 5, 6, 14])
def test_batches_that_were_read_before_are_left_out(start: int) -> None:
    def first(count: int, start: int) -> list[list[int]]:
        batches = (batch for part in epochs(11, 2, 3, start, 0, 1) for batch in part)
        return [next(batches) for _ in range(count)]

    assert first(4, start) == first(start + 4, 0)[start:]


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert [sorted(next(epochs(3, 8, 0, 0, 0, 1))[0])] == [[0, 1, 2]]


def test_chance_differs_by_seed_step_and_process_and_is_the_same_again() -> None:
    places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    drawn = [torch.rand(3, generator=step_generator(*p)).tolist() for p in places]
    again = [torch.rand(3, generator=step_generator(*p)).tolist() for p in places]
    assert drawn == again
    assert len({tuple(d) for d in drawn}) == 4


def test_validation_is_shown_as_a_table(tmp_path: Path) -> None:
    console = quiet()
    run(Line(), tmp_path, replace(SCHEDULE, steps=2, validate_every=2), console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "step 2" in shown
    assert "first" in shown


def test_a_run_with_nothing_to_judge_by_says_so(tmp_path: Path) -> None:
    class Blind(Line):
        def validate(self) -> dict[str, float]:
            return {}

    console = quiet()
    run(Blind(), tmp_path, replace(SCHEDULE, steps=2, validate_every=2), console)
    assert isinstance(console.file, io.StringIO)
    assert "line, step 2: no photograph with an instance is kept back" in console.file.getvalue()


def test_two_processes_of_half_a_batch_train_as_one_of_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "two"
    script = [str(Path(two_processes.__file__)), str(out), "2"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*launch, *script], env={**os.environ, **environment}, capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()
    alone = two_processes.Fit(4)
    run(alone, tmp_path / "one", two_processes.SCHEDULE, quiet())
    for process in (0, 1):
        state = torch.load(out / f"process-{process}.pt", weights_only=True)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value)
    averages = [torch.load(p / "averages.pt", weights_only=True) for p in (out, tmp_path / "one")]
    torch.testing.assert_close(*averages)
    logged = [(10, "validation/weight"), (20, "loss/fit"), (20, "validation/weight")]
    assert [(step, name) for step, name, _ in log_rows(out)] == logged
    assert (out / "checkpoint.pt").exists()
