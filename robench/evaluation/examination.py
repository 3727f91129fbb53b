"""Reasons not to replace a model by a copy: what tracing, folding or bf16 could not see.

A copy computes the same logits with other operations. That its gradient is the model's, too, is
compared on a few samples (:mod:`robench.evaluation.agreement`); here a model is searched for
what a comparison on a few samples could miss.
"""

import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode, resolve_name

from robench.layers.foldable import is_foldable
from robench.layers.weight_cache import WeightCache
from robench.models.accept import hooks_of
from robench.models.outside_state import outside_values
from robench.models.plain_state import plain_attributes

STEPS = frozenset(
    {"ceil", "fix", "floor", "floor_divide", "fake_quantize", "heaviside", "round", "sgn", "sign"}
    | {"trunc"}
)
"""Functions of torch whose derivative is zero wherever it exists; also with ``_`` at the end."""

CONSTANT = ("_like", "new_")
"""Parts of the names of functions that take only the shape of their argument."""


def structure_of(model: nn.Module) -> str | None:
    """Return why the layers of a model forbid a copy, as the end of a sentence, or None."""
    for kind in ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks"):
        if getattr(torch_module, f"_global_{kind}", None):
            return "hooks are registered for all modules"
    for name, layer in model.named_modules():
        where = f"layer '{name}'" if name else "the model"
        if isinstance(layer, torch.jit.ScriptModule):
            return f"{where} is TorchScript"
        if hasattr(layer, "_orig_mod"):
            return f"{where} is compiled"
        if "forward" in vars(layer):
            return f"the forward of {where} was replaced"
        if any(not _computes_weights(hook) for hook in hooks_of(layer)):
            return f"{where} has a hook"
    return None


def behavior_of(model: nn.Module, images: Tensor) -> str | None:
    """Return why a forward of a model forbids a copy, as the end of a sentence, or None.

    Args:
        model: in eval mode, its parameters frozen; called once before, so that what it builds at
            its first call exists.
        images: (B, C, H, W); they are not changed.

    Raises:
        Exception: whatever the model raises.
    """
    before = _state_of(model)
    watch = _Watch()
    with torch.enable_grad():
        given = images.clone().requires_grad_().clone()  # not a leaf: it may be written to
        version = given._version
        with watch:
            logits = model(given)
    if given._version != version or not torch.equal(given.detach(), images):
        return "it writes into its input"
    if name := next(_own_functions(logits), None):
        return f"it has a backward of its own ('{name}')"
    if changed := _changed(before, _state_of(model)):
        return f"it keeps a state between calls ({changed})"
    return watch.found


def kept_state(model: nn.Module, images: Tensor) -> str | None:
    """Return what a forward without gradient changes beside its result, by name, or None.

    Raises:
        Exception: whatever the model raises.
    """
    before = _state_of(model)
    with torch.no_grad():
        model(images.clone())
    return _changed(before, _state_of(model))


def _computes_weights(hook: Any) -> bool:
    """Return whether a hook is one by which torch's older normalizations compute a weight."""
    return type(hook).__module__.startswith("torch.nn.utils.")


class _Watch(TorchFunctionMode):
    """Looks at every function of torch that is given something with a gradient.

    Attributes:
        found: the first cut of the gradient, as the end of a sentence; None if there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: str | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.found is None and any(t.requires_grad for t in _tensors((args, kwargs))):
            found = _cut_of(func, result)
            self.found = None if found and _in_a_kernel() else found
        return result


def _in_a_kernel() -> bool:
    """Return whether one of robench's kernels is at work: its backward is tested."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        if frame.f_globals.get("__name__", "").startswith(_KERNELS):
            return True
    return False


_KERNELS = "robench.kernels."


def _cut_of(func: Any, result: Any) -> str | None:
    name = _name_of(func)
    if name.rstrip("_") in STEPS:
        return f"'{name}' inside it has no gradient"
    if name == "register_hook":
        return "it registers a hook on a tensor"
    if any(part in name for part in CONSTANT):
        return None
    floating = [tensor for tensor in _tensors(result) if tensor.is_floating_point()]
    if floating and not torch.is_grad_enabled():  # also in place, where the result has a gradient
        return f"'{name}' inside it runs without gradient"
    if floating and not any(tensor.requires_grad for tensor in floating):
        return f"'{name}' inside it cuts the gradient"
    return None


def _name_of(func: Any) -> str:
    """Return the plain name of a function of torch: "detach", or "data" for a property."""
    name = getattr(func, "__name__", "")
    if name == "__get__":  # of a property: its own name is before it
        name = (resolve_name(func) or "").removesuffix(".__get__").rpartition(".")[2]
    return str(name)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        for value in values.values():
            yield from _tensors(value)


def _own_functions(logits: Tensor) -> Iterator[str]:
    """Yield the names of custom autograd functions behind logits, but for robench's kernels."""
    seen: set[Any] = set()
    left: list[Any] = [logits.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        function = getattr(node, "_forward_cls", None)  # of a torch.autograd.Function
        if function is not None and not function.__module__.startswith(_KERNELS):
            yield function.__name__
        left += [following for following, _ in node.next_functions]


_SIMPLE = (bool, int, float, str, bytes, type(None))
_STATE = (*_SIMPLE, list, dict, set, deque, Tensor, np.ndarray)


def _state_of(model: nn.Module) -> dict[str, Any]:
    """Return what a model keeps beside its parameters and layers, also outside of it, by name.

    Foldable layers are left out: they vouch for their folded form themselves. So are scripted ones,
    whose state cannot be told from one look to the next.
    """
    kept = {name: _trace_of(value) for name, value in outside_values(model).items()}
    for path, layer in model.named_modules():
        if is_foldable(layer) or isinstance(layer, torch.jit.ScriptModule):
            continue
        own = plain_attributes(layer) | layer._buffers | layer._parameters
        for name, value in (_of_class(layer) | own).items():
            if not _is_computed(name, layer):
                kept[f"{path}.{name}".lstrip(".")] = _trace_of(value)
    return kept


def _of_class(layer: nn.Module) -> dict[str, Any]:
    """Return the plain attributes of a layer's classes, but for those of torch."""
    classes = [c for c in type(layer).__mro__ if not c.__module__.startswith(("torch", "builtins"))]
    return {
        name: value
        for each in reversed(classes)
        for name, value in vars(each).items()
        if isinstance(value, _STATE) and not name.startswith("__")
    }


def _is_computed(name: str, layer: nn.Module) -> bool:
    """Return whether one of torch's older normalizations computes this weight at each forward."""
    return any(f"{name}{ending}" in layer._parameters for ending in ("_g", "_orig"))


def _trace_of(value: Any, depth: int = 3) -> Any:
    """Return something that differs after ``value`` was changed in one of the usual ways."""
    if isinstance(value, _SIMPLE):
        return value
    if isinstance(value, Tensor):
        return id(value), value._version
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if depth and isinstance(value, (list, tuple, set, frozenset, deque)):
        return type(value), len(value), [_trace_of(each, depth - 1) for each in value]
    if depth and isinstance(value, dict):
        return [(_trace_of(k, depth - 1), _trace_of(v, depth - 1)) for k, v in value.items()]
    if isinstance(value, WeightCache):
        return id(value)  # of robench's own layers: a value that follows from the weights
    if depth > 1 and not callable(value) and hasattr(value, "__dict__"):
        return id(value), _trace_of(dict(vars(value)), depth - 1)
    return id(value)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    names = [name for name in after if name not in before or before[name] != after[name]]
    return ", ".join(f"'{name}'" for name in names[:3]) or None
