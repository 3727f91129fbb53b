"""Contexts that restore a model on exit: modes, gradient flags, state, device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from robench.layers.weight_cache import WeightCache
from robench.models.plain_state import remember
from robench.system.devices import device_of


@contextmanager
def frozen_stats(model: nn.Module) -> Iterator[None]:
    """Restore, on exit, what forwards inside the context changed in ``model``.

    Running statistics, power-iteration vectors and averages of any defense are buffers or, in some
    libraries, parameters that are not trained, so an attack during training inside this context
    leaves no trace in them, even after an exception: values are restored in place, and buffers that
    were rebound or added are reset or removed. So are plain attributes, such as a count of calls or
    a memory of images.
    """
    # A scripted module's buffers can be neither rebound nor removed.
    plain = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    slots = [(module, dict(module._buffers), remember(module)) for module in plain]
    state = [*model.buffers(), *(p for p in model.parameters() if not p.requires_grad)]
    values = [(tensor, tensor.detach().clone()) for tensor in state if not is_lazy(tensor)]
    try:
        yield
    finally:
        for module, buffers, restore in slots:
            restore()
            module._buffers.clear()
            module._buffers.update(buffers)
        with torch.no_grad():
            for tensor, value in values:
                tensor.copy_(value)


def in_eval_mode(model: nn.Module) -> nn.Module:
    """Put a model in eval mode and return it.

    A program of ``torch.export`` has no modes, and answers as it was exported.
    """
    try:
        model.eval()
    except NotImplementedError:
        for module in model.modules():
            module.training = False
    return model


@contextmanager
def under_attack(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in eval mode with frozen parameters; restore it on exit.

    Values that layers have computed from frozen weights are dropped: writes to ``weight.data`` do
    not show in any version counter.

    Every module's mode and every parameter's gradient flag are restored individually (a BatchNorm
    kept in eval mode within a model in training stays so), even after an exception. Gradients of
    parameters are neither computed nor modified.
    """
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, WeightCache):
                value.clear()
    with frozen_parameters(model), _own_modes(model):
        in_eval_mode(model)
        yield


@contextmanager
def in_training(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in training mode with all parameters trained; restore it on exit.

    As in :func:`under_attack`, modes and flags are restored individually, and gradients of
    parameters are removed, also after an exception.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with _own_modes(model):
        try:
            model.train()
            for parameter, _ in flags:
                parameter.requires_grad_()
            yield
        finally:
            model.zero_grad(set_to_none=True)
            for parameter, flag in flags:
                parameter.requires_grad_(flag)


@contextmanager
def _own_modes(model: nn.Module) -> Iterator[None]:
    """Restore the mode of each module on exit; a module of ``torch.jit.freeze`` has none."""
    modes = [(module, getattr(module, "training", None)) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            if mode is None:
                vars(module).pop("training", None)
            else:
                module.training = mode


@contextmanager
def frozen_parameters(model: nn.Module) -> Iterator[None]:
    """Leave the parameters of ``model`` out of the graphs of forwards inside the context."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@contextmanager
def placed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Move ``model`` to ``device``, and back on exit, even after an exception."""
    origin = device_of(model)
    model.to(device)
    try:
        yield
    finally:
        model.to(origin)
