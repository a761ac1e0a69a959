"""Work that a worker does later: how it is handed over, and where its outcome is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ovsam_plugin.markdown import plain

from .live import in_app

BACKGROUND = (
    "To run such work in the background, start the App with "
    "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS=true, and run `fiftyone delegated launch` beside it"
)
_OURS = "schedule_ourselves"


def can_delegate() -> bool:
    """Whether the App can hand work to a worker: it offers it, else, without effect."""
    return bool(fo.config.allow_legacy_orchestrators)


def take_over(ctx: foo.ExecutionContext) -> None:
    """Has a generator be run by the App that asked to have it scheduled: see `schedule`."""
    if in_app(ctx) and ctx.requesting_delegated_execution:
        ctx.request_params.update({"request_delegation": False, _OURS: True})


def is_taken_over(ctx: foo.ExecutionContext) -> bool:
    """Whether it is to be scheduled, and not done."""
    return bool(ctx.request_params.get(_OURS))


def schedule(ctx: foo.ExecutionContext, operator: foo.Operator, where: str) -> Iterator[Any]:
    """Schedules a generator, and says where to look for its outcome.

    FiftyOne would do the first, but hears nothing that it is told then of an operator that is a
    generator.
    """
    from fiftyone.operators.delegated import DelegatedOperationService

    ctx.request_params.pop(_OURS)
    ctx.request_params["delegated"] = True
    DelegatedOperationService().queue_operation(
        operator=operator.uri,
        context=ctx.serialize(),
        delegation_target=ctx.delegation_target,
        label=operator.resolve_run_name(ctx),
        rerunnable=operator.config.rerunnable,
    )
    yield tell_scheduled(ctx, where)


def tell_scheduled(ctx: foo.ExecutionContext, where: str) -> Any:
    """Shows where to look for what is scheduled, until it is put away."""
    outputs = types.Object()
    told = (
        "A worker started with `fiftyone delegated launch` will do it; `fiftyone delegated list` "
        f"shows how far it is. When it is done, reload this page: {plain(where)}"
    )
    outputs.view("where", types.Notice(label=told))
    shown = types.Property(outputs, view=types.View(label="Scheduled"))
    return ctx.ops.show_output(shown.to_json(), {})
