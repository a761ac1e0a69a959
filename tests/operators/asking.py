"""Operators as the App asks them: a form with what is filled in, and its execution."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.operators.registry import OperatorRegistry


def uri(name: str) -> str:
    return f"@ovsam/curation/{name}"


def context(name: str, dataset: fo.Dataset, **request: Any) -> ExecutionContext:
    """What an operator is called with; its requests to the App are in `context.executor`."""
    given = {"dataset_name": dataset.name, "params": {}, **request}
    return ExecutionContext(given, executor=Executor(), operator_uri=uri(name))


def form(name: str, dataset: fo.Dataset, /, **params: Any) -> Any:
    """The form that these values lead to."""
    return (
        OperatorRegistry()
        .get_operator(uri(name))
        .resolve_input(context(name, dataset, params=params))
    )


def questions(name: str, dataset: fo.Dataset, /, **request: Any) -> dict[str, Any]:
    """The questions of the form that a request leads to, by their names."""
    form = (
        OperatorRegistry().get_operator(uri(name)).resolve_input(context(name, dataset, **request))
    )
    properties: dict[str, Any] = form.to_json()["type"]["properties"]
    return properties


def execute(name: str, dataset: fo.Dataset, /, **params: Any) -> Any:
    done = foo.execute_operator(uri(name), {"dataset": dataset, "params": params})
    assert done.error is None, done.error
    return done


def asked_of_app(done: Any) -> dict[str, Any]:
    """Parameters of what the App was asked to do, by the operator's name, in their order."""
    return {r["operator_uri"]: r["params"] for r in done.executor.to_json()["requests"]}
