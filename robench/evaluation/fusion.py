"""Fuse a convolution, the addition of a shortcut and a ReLU into one layer."""

import operator
from typing import Any

import torch
from torch import fx, nn

from robench.kernels.fused_conv import FusedConv, fits
from robench.layers.foldable import PLAIN_CONVOLUTIONS, is_hooked

_ADDITIONS = (operator.add, operator.iadd, torch.add)
_NOT_IN_PLACE = {"index", "indexOf", "inv", "invert", "is_", "is_not", "is_none", "is_not_none"}
"""Functions of :mod:`operator` that begin like the in-place ones, ``iadd`` and so on."""
_RELUS = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_)


def fuse_activations(network: fx.GraphModule) -> None:
    """Replace convolution + ReLU, and convolution + shortcut + ReLU, by one layer, in place."""
    modules = dict(network.named_modules())
    for relu in list(network.graph.nodes):
        before = relu.args[0] if _is_relu(relu, modules) and relu.args else None
        if not isinstance(before, fx.Node) or len(before.users) > 1:
            continue
        if _is_plain(before, modules, network):
            if not _is_written_between(before, relu, modules):
                _replace(network, relu, before)
        elif before.op == "call_function" and before.target in _ADDITIONS:
            _fuse_addition(network, relu, before, modules)
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
    single = conv.weight.dtype == torch.float32
    return alone and single and fits(conv) and not is_hooked(conv)


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
    for conv, shortcut in ((last, other), (other, last)):
        if _is_plain(conv, modules, network):
            if not _is_written_between(conv, relu, modules, besides=addition):
                _replace(network, relu, conv, shortcut, addition)
            return


def _is_written_between(
    first: fx.Node, last: fx.Node, modules: dict[str, nn.Module], besides: fx.Node | None = None
) -> bool:
    """Return whether a node between two others may write in place: it must not be overtaken."""
    node = first.next
    while node is not last:
        if node is not besides and _writes(node, modules):
            return True
        node = node.next
    return False


def _writes(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    if node.op not in ("call_method", "call_function"):
        return False
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    operators = {*vars(operator)} & {name} and name.startswith("i") and name not in _NOT_IN_PLACE
    return bool(in_place or operators or node.kwargs.get("inplace") or node.kwargs.get("out"))


def _replace(
    network: fx.GraphModule,
    relu: fx.Node,
    conv: fx.Node,
    shortcut: fx.Node | None = None,
    addition: fx.Node | None = None,
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
    # Only these: what else has no user may write in place, as ``F.relu_(y)`` does.
    network.graph.erase_node(relu)
    if addition is not None:
        network.graph.erase_node(addition)
    network.graph.erase_node(conv)
