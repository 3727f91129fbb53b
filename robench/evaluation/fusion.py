"""Fuse a convolution, the addition of a shortcut and a ReLU into one layer."""

import operator
from typing import Any

import torch
from torch import fx, nn

from robench.kernels.fused_conv import FusedConv, fits
from robench.layers.foldable import PLAIN_CONVOLUTIONS, is_hooked

_ADDITIONS = (operator.add, operator.iadd, torch.add)
_RELUS = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_)


def fuse_activations(network: fx.GraphModule) -> None:
    """Replace convolution + ReLU, and convolution + shortcut + ReLU, by one layer, in place."""
    modules = dict(network.named_modules())
    for relu in list(network.graph.nodes):
        before = relu.args[0] if _is_relu(relu, modules) and relu.args else None
        if not isinstance(before, fx.Node) or len(before.users) > 1:
            continue
        if _is_plain(before, modules, network):
            _replace(network, relu, before, None)
        elif before.op == "call_function" and before.target in _ADDITIONS:
            _fuse_addition(network, relu, before, modules)
    network.graph.eliminate_dead_code()
    network.recompile()


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[str(node.target)]) is nn.ReLU
    if node.op == "call_method":
        return node.target in ("relu", "relu_")
    return node.op == "call_function" and node.target in _RELUS


def _is_plain(node: Any, modules: dict[str, nn.Module], network: fx.GraphModule) -> bool:
    """Return whether a node is a zero-padded convolution that is used only once."""
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.users) > 1:
        return False
    conv = modules[str(node.target)]
    if type(conv) not in PLAIN_CONVOLUTIONS:
        return False
    assert isinstance(conv, nn.Conv2d)
    alone = sum(other.target == node.target for other in network.graph.nodes) == 1
    return alone and fits(conv) and not is_hooked(conv)


def _fuse_addition(
    network: fx.GraphModule, relu: fx.Node, addition: fx.Node, modules: dict[str, nn.Module]
) -> None:
    if len(addition.args) != 2 or addition.kwargs:
        return
    order = {node: i for i, node in enumerate(network.graph.nodes)}
    nodes = [node for node in addition.args if isinstance(node, fx.Node)]
    if len(nodes) != 2:
        return
    # Fuse the later of the two: by then the other has been computed.
    last, other = sorted(nodes, key=order.__getitem__, reverse=True)
    if _is_plain(last, modules, network):
        _replace(network, relu, last, other)
    elif _is_plain(other, modules, network):
        _replace(network, relu, other, last)


def _replace(
    network: fx.GraphModule, relu: fx.Node, conv: fx.Node, shortcut: fx.Node | None
) -> None:
    path = str(conv.target)
    parent, _, name = path.rpartition(".")
    convolution = network.get_submodule(path)
    assert isinstance(convolution, nn.Conv2d)
    setattr(network.get_submodule(parent), name, FusedConv(convolution))
    inputs = (conv.args[0],) if shortcut is None else (conv.args[0], shortcut)
    with network.graph.inserting_before(relu):
        fused = network.graph.call_module(path, inputs)
    relu.replace_all_uses_with(fused)
    network.graph.erase_node(relu)
