"""Copies of a network that compute the same function in eval mode with less work."""

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from robench.evaluation.fusion import fuse_activations
from robench.kernels.float32_conv import Float32Conv, can_replace
from robench.kernels.fused_conv import FusedConv, can_fuse
from robench.layers.foldable import (
    PLAIN_CONVOLUTIONS,
    is_foldable,
    is_hooked,
    plain_conv,
)
from robench.system.devices import device_of
from robench.system.out_of_memory import is_out_of_memory

PLAIN = (*PLAIN_CONVOLUTIONS, nn.Linear, FusedConv, Float32Conv)
"""Layers that use their weights directly, and so may have them in bf16."""


def folded(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with weights computed once, norms folded, activations fused.

    Parametrized weights become plain ones; a layer that is
    :class:`robench.layers.foldable.Foldable` becomes what its ``folded`` returns. A BatchNorm2d
    that is the only user of a plain convolution's output is folded into its weight and bias. A
    network that torch.fx cannot trace keeps its batch norms.
    """
    plain = _own_copy(model)
    _replace_layers(plain)
    try:
        graph = _Tracer().trace(plain)
    except Exception as error:  # data-dependent control flow, or other code not to be traced
        if is_out_of_memory(error):
            raise
        return plain
    network = fx.GraphModule(plain, graph)
    for node in list(graph.nodes):
        _fold(network, node)
    device = device_of(model)
    if can_fuse(device):
        fuse_activations(network)
    if device.type == "cuda":
        _use_float32_convs(network)
    network.recompile()
    return network


def _use_float32_convs(network: nn.Module) -> None:
    """Replace plain convolutions by those that are fast in float32 on a GPU, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Conv2d and can_replace(child) and not is_hooked(child):
                setattr(module, name, Float32Conv.of(child))


def _own_copy(model: nn.Module) -> nn.Module:
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


def _replace_layers(module: nn.Module) -> None:
    """Replace the layers below ``module`` that have plain equivalents, from the top down."""
    for name, child in list(module.named_children()):
        layer = _plain(child)
        if layer is None:
            _replace_layers(child)
        else:
            setattr(module, name, layer.eval().requires_grad_(False))


def _plain(module: nn.Module) -> nn.Module | None:
    """Return a plain layer that computes what ``module`` does in eval mode, or None."""
    if not is_foldable(module):
        return _computed(module) if parametrize.is_parametrized(module) else None
    if any(is_hooked(layer) for layer in module.modules()):
        return None
    with torch.no_grad():
        layer: nn.Module | None = module.folded()  # type: ignore[operator]
        return layer


def _computed(module: nn.Module) -> nn.Module | None:
    """Return a plain layer with the weights that a parametrized one computes, or None.

    torch's own removal would delete the property from a class that the copy shares with the model.
    """
    if is_hooked(module) or set(module.parametrizations) - {"weight"}:  # type: ignore[arg-type]
        return None
    base = type(module).__mro__[1]
    with torch.no_grad():
        weight = module.weight.detach().clone()  # type: ignore[operator]
    if base is nn.Conv2d:
        return plain_conv(module, weight, module.bias)  # type: ignore[arg-type]
    if base is not nn.Linear:
        return None
    layer: Any = nn.Linear(1, 1, bias=False)
    layer.weight, layer.bias = nn.Parameter(weight, requires_grad=False), module.bias
    return layer.eval()


class _Tracer(fx.Tracer):
    """A tracer that enters containers only; it does not look inside layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        alone = is_foldable(m) or not any(True for _ in m.children())
        return alone or super().is_leaf_module(m, module_qualified_name)


def _fold(network: fx.GraphModule, norm: fx.Node) -> None:
    """Fold a batch norm into the convolution before it, if nothing else uses that one."""
    before: Any = norm.args[0] if norm.args else None
    if norm.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
        return
    bn, conv = (network.get_submodule(str(node.target)) for node in (norm, before))
    if type(bn) is not nn.BatchNorm2d or type(conv) not in PLAIN_CONVOLUTIONS:
        return
    if len(before.users) > 1:
        return
    # A convolution that is used twice cannot take the norm of one of its uses.
    if sum(node.target == before.target for node in network.graph.nodes) > 1:
        return
    if bn.running_mean is None or is_hooked(bn) or is_hooked(conv):
        return
    path, _, name = str(before.target).rpartition(".")
    setattr(network.get_submodule(path), name, fuse_conv_bn_eval(conv, bn))  # type: ignore[type-var]
    norm.replace_all_uses_with(before)
    network.graph.erase_node(norm)


def half_precision(model: nn.Module) -> nn.Module:
    """Return a copy whose plain convolutions and linear layers have bf16 weights, for autocast.

    Autocast would convert them at each forward; other parameters are left as they are.
    """
    half = _own_copy(model)
    for module in half.modules():
        if type(module) in PLAIN and not parametrize.is_parametrized(module):
            module.to(torch.bfloat16)
    return half
