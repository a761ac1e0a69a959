"""An accelerator that is not there: its tensors say that they lie on it, and a CPU computes them.

As on CUDA, an operation on tensors of two devices is an error, NumPy reads none of its tensors, and
what is read is counted as a wait. So code for accelerators is tried where there is none, with the
numbers that a CPU gives. It changes torch for good: import it first, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_map

NAME = "standin"
DEVICE: torch.device
# Operations whose indices, in a list, may lie on the CPU; and such as read numbers.
_INDEXING = (
    "index.Tensor", "_unsafe_index.Tensor", "index_put.default", "index_put_.default"
)  # fmt: skip
_READING = ("_local_scalar_dense.default", "nonzero.default", "equal.default")

waits: dict[str, int] = {}
"""How often the CPU has waited for numbers, by what read them."""


class _There(torch.Tensor):
    """A tensor on it; `here` is the same on the CPU."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> _There:
        made: _There = torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=DEVICE,
            requires_grad=here.requires_grad,
        )
        made.here = here
        return made

    def __repr__(self, **_: Any) -> str:
        return f"there {self.here!r}"

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operation, args, kwargs or {})

    def tolist(self) -> Any:
        _wait("tolist")
        return self.here.tolist()

    # What torch makes tensors of in C++, past what is registered here.
    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=device or self.device)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_as_tensors(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_as_tensors(index), value)


def _as_tensors(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_as_tensors, index))
    if isinstance(index, list):
        return torch.tensor(index) if index else torch.zeros(0, dtype=torch.int64)
    return index


def _wait(what: str) -> None:
    waits[what] = waits.get(what, 0) + 1


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name, device = operation.__name__, kwargs.get("device")
    given: list[torch.Tensor] = []
    tree_map(lambda x: given.append(x) if isinstance(x, torch.Tensor) else None, (args, kwargs))
    there = [x for x in given if isinstance(x, _There)]
    if there and name not in ("_to_copy.default", "copy_.default"):
        others = [x for x in given if x.dim() and not isinstance(x, _There)]
        if name in _INDEXING:
            others = [x for x in others if any(x is arg for arg in args)]
        if others:
            shapes = ", ".join(str(tuple(x.shape)) for x in others)
            raise RuntimeError(f"{name}: tensors on two devices; on the CPU: {shapes}")
    if device is not None:
        device = torch.device(device)
        if there and device.type == "cpu":
            _wait("to the CPU")
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if there and name in _READING:
        _wait(name)
    here = tree_map(lambda x: x.here if isinstance(x, _There) else x, (args, kwargs))
    out = operation(*here[0], **here[1])
    for tensor in there:  # changed in place
        if out is tensor.here:
            return tensor
    if name == "copy_.default" or not (there if device is None else device.type == NAME):
        return args[0] if name == "copy_.default" else out
    return tree_map(lambda x: _There(x) if isinstance(x, torch.Tensor) else x, out)


def _made_there(constructor: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def made(data: Any, *, device: Any = None, **settings: Any) -> torch.Tensor:
        if device is None or torch.device(device).type != NAME:
            return constructor(data, device=device, **settings)
        return constructor(data, **settings).to(device)

    return made


class _Module(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
DEVICE = torch.device(NAME, 0)
_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda operation, *args, **kwargs: _run(operation, args, kwargs), "PrivateUse1")
_device_constructors()  # remembers torch's own
torch.tensor = _made_there(torch.tensor)
torch.as_tensor = _made_there(torch.as_tensor)
# It makes views of such tensors impossible.
torch.inference_mode = lambda mode=True: torch.no_grad()  # type: ignore[assignment,misc]
