"""Long work that tells the App how far it is while it goes on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.message import GeneratedMessage

Report = Callable[[Any], None]
"""What FiftyOne's progress bar is given to."""
Work = Callable[[Report], dict[str, Any]]
Outcome = Callable[[dict[str, Any]], types.Property]

_INTERVAL = 0.5
"""Seconds between two looks at the bar."""


def in_app(ctx: foo.ExecutionContext) -> bool:
    """Whether somebody looks on: the App asks, and not a notebook or a delegated worker."""
    return "filters" in ctx.request_params and not ctx.delegated


def live(
    ctx: foo.ExecutionContext, work: Work, outcome: Outcome, stop: dict[str, Any] | None = None
) -> Generator[GeneratedMessage, None, dict[str, Any]]:
    """Does some work on a thread of its own, and tells what it reports.

    The work goes on where the browser goes away. An error is told in its own words.

    Args:
        ctx: of an operator that runs as a generator.
        work: gives the operator's results.
        outcome: how these are shown, or {"error": ...}.
        stop: an operator that ends it, as a button has it: `operator` and `params`.

    Returns:
        the results, or {"error": ...}.
    """
    told: queue.Queue[tuple[str, Any]] = queue.Queue()

    def run() -> None:
        try:
            result = work(fo.report_progress(lambda bar: told.put(("bar", bar)), dt=_INTERVAL))
        except Exception as error:
            told.put(("error", str(error) or type(error).__name__))
        else:
            told.put(("done", result))

    threading.Thread(target=run, daemon=True).start()
    yield _show(ctx, 0.0, "Getting ready", None)
    started = None
    while True:
        kind, value = told.get()
        if kind == "bar":
            started = started or (time.monotonic(), value.iteration)
            yield _show(ctx, value.progress, _how_far(value, *started), stop)
            continue
        results = value if kind == "done" else {"error": value}
        yield ctx.ops.show_output(outcome(results).to_json(), results)
        return results


def _show(
    ctx: foo.ExecutionContext, share: float, label: str, stop: dict[str, Any] | None
) -> GeneratedMessage:
    outputs = types.Object()
    outputs.float("progress", view=types.ProgressView(label=label))
    if stop is not None:
        outputs.view("stop", types.Button(label="Stop: what is done is kept", **stop))
    shown = types.Property(outputs).to_json()
    return ctx.ops.show_output(shown, {"progress": share})


def _how_far(bar: Any, began: float, done_then: int) -> str:
    """Images done, how fast, and how long it still takes."""
    done, total = bar.iteration, bar.total
    seconds = time.monotonic() - began
    text = f"{done:,} of {total:,} photographs"
    if seconds > 0 and done > done_then:
        rate = (done - done_then) / seconds
        text += f", {rate:.1f} a second, {in_words((total - done) / rate)} left"
    return text


def in_words(seconds: float) -> str:
    """A time as a person says it, such as "about 3 minutes"."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size:
            return f"about {round(seconds / size)} {name}s"
    if seconds >= 55:
        return "about a minute"
    return "a few seconds" if seconds < 8 else f"about {round(seconds / 5) * 5} seconds"
