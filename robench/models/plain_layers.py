"""Copies of a network whose layers are plain ones that compute the same in eval mode."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from robench.layers.foldable import is_foldable, is_hooked, plain_conv


def own_copy(model: nn.Module) -> nn.Module:
    """Return a frozen copy in eval mode that shares nothing with the model.

    Raises:
        ValueError: if a part of the model is not copied but shared, as its own ``__deepcopy__``
            may have it: what is done to the copy would be done to the model.
    """
    own = copy.deepcopy(model)
    parts = [
        {id(part) for part in (*each.modules(), *each.parameters(), *each.buffers())}
        for each in (model, own)
    ]
    if parts[0] & parts[1]:
        raise ValueError("a part of the model is shared with its copy")
    return own.eval().requires_grad_(False)


def replace_layers(module: nn.Module) -> None:
    """Replace the layers below ``module`` that have plain equivalents, from the top down.

    A layer that is in several places is replaced by one that is in all of them.
    """
    _replace(module, {})


def _replace(module: nn.Module, done: dict[nn.Module, nn.Module]) -> None:
    for name, child in list(module._modules.items()):
        if child is None:
            continue
        if child not in done:
            layer = _plain(child)
            done[child] = child if layer is None else layer.eval().requires_grad_(False)
            if layer is None:
                _replace(child, done)
        setattr(module, name, done[child])


def _plain(module: nn.Module) -> nn.Module | None:
    """Return a plain layer that computes what ``module`` does in eval mode, or None."""
    if not is_foldable(module):
        return _exported(module) or _computed(module)
    if any(is_hooked(layer) for layer in module.modules()):
        return None
    with torch.no_grad():
        layer: nn.Module | None = module.folded()  # type: ignore[operator]
        return layer


def _exported(module: nn.Module) -> nn.Module | None:
    """Return the plain convolution as which a layer of deel-torchlip exports itself, or None."""
    export = getattr(module, "vanilla_export", None)
    if not isinstance(module, nn.Conv2d) or not callable(export) or is_hooked(module):
        return None
    with torch.no_grad():
        layer = export()
    return plain_conv(layer, layer.weight, layer.bias) if type(layer) is nn.Conv2d else None


def _computed(module: nn.Module) -> nn.Module | None:
    """Return a plain layer with the weights that a parametrized one computes, or None.

    torch's own removal would delete the property from a class that the copy shares with the model.
    """
    if not parametrize.is_parametrized(module) or is_hooked(module):
        return None
    if set(module.parametrizations) - {"weight"}:  # type: ignore[arg-type]
        return None
    base = type(module).__mro__[1]
    weight = _computed_weight(module)
    if issubclass(base, nn.Conv2d) and _only_convolves(base):
        return plain_conv(module, weight, module.bias)  # type: ignore[arg-type]
    if base is not nn.Linear:
        return None
    layer: Any = nn.Linear(1, 1, bias=False)
    layer.weight, layer.bias = nn.Parameter(weight, requires_grad=False), module.bias
    return layer.eval()


@torch.no_grad()
def _computed_weight(module: Any) -> torch.Tensor:
    """Return the weight of a parametrized layer, in float32 if its code computes in no other."""
    try:
        weight: torch.Tensor = module.weight
    except RuntimeError:  # orthogonium's kernels are computed in float32 only
        weight = copy.deepcopy(module).float().weight
    return weight.detach().clone()


def _only_convolves(kind: type[nn.Conv2d]) -> bool:
    """Return whether a class of convolutions only convolves with its weight, as its base does."""
    plain = nn.Conv2d
    return kind.forward is plain.forward and kind._conv_forward is plain._conv_forward
