"""Copies of a network that compute the same function in eval mode with less work."""

from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from robench.evaluation.fusion import fuse_activations
from robench.kernels.float32_conv import Float32Conv, can_replace
from robench.kernels.fused_conv import FusedConv, can_fuse
from robench.layers.adopt import adopt
from robench.layers.foldable import PLAIN_CONVOLUTIONS, is_foldable, is_hooked
from robench.models.plain_layers import own_copy, replace_layers
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
    plain = own_copy(model)
    replace_layers(plain)
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
                setattr(module, name, adopt(Float32Conv, child).eval())


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
    half = own_copy(model)
    for module in half.modules():
        if type(module) in PLAIN and not parametrize.is_parametrized(module):
            module.to(torch.bfloat16)
    return half
