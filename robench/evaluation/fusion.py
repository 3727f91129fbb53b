"""Convolutions that add a shortcut and apply ReLU while their output is still in the cache.

On a CPU a small network spends a third of its time on reading and writing activations for these
two; oneDNN, which computes torch's convolutions there, does them on the way.
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from robench.evaluation.convnorms import CONVOLUTIONS, ConvNormThen, last_convolution
from robench.kernels.depthwise import image_gradient
from robench.layers.convnorm import ConvNorm2d

_ADDITIONS = (operator.add, operator.iadd, torch.add)
_RELUS = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_)


def can_fuse(device: torch.device) -> bool:
    """Return whether torch has oneDNN's fused convolutions for a device."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


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


class FusedConv(nn.Module):
    """relu(convolution(x) + shortcut), in the precision of its weight."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        padding = _padding(conv)
        assert padding is not None
        self.sizes = (padding, list(conv.stride), list(conv.dilation), conv.groups)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Apply it to (B, C, H, W)."""
        dtype = self.weight.dtype
        other = None if shortcut is None else shortcut.to(dtype)
        return _Fused.apply(x.to(dtype), other, self.weight, self.bias, self.sizes)


class _Fused(torch.autograd.Function):
    """The fused forward with the gradients of its inputs; weights are frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        sizes: Any,
    ) -> Tensor:
        fused = torch.ops.mkldnn._convolution_pointwise
        padding, stride, dilation, groups = sizes
        if shortcut is None:
            y = fused(x, weight, bias, *sizes, "relu", [], "")
        elif groups == 1 and _is_channels_last(x):
            y = fused.binary(x, shortcut, weight, bias, *sizes, "add", 1.0, "relu", [], "")
        else:  # oneDNN adds a shortcut in channels_last only, and not to groups
            with torch.autocast("cpu", enabled=False):
                y = nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
            y = y.add_(shortcut).relu_()
        ctx.save_for_backward(x, weight, y)
        ctx.sizes, ctx.shortcut = sizes, shortcut is not None
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        padding, stride, dilation, groups = ctx.sizes
        gradient = torch.ops.aten.threshold_backward(gradients[0], y, 0)
        kernel = weight.shape[2:]
        same = [stride, dilation, padding] == [[1, 1], [1, 1], [k // 2 for k in kernel]]
        if same and kernel.numel() % 2 and weight.shape[1] == 1 and len(weight) == groups:
            dx = image_gradient(gradient, weight)
        else:
            dx = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, stride, padding, dilation, False, [0, 0], groups,
                [True, False, False],
            )[0]  # fmt: skip
        return dx, gradient if ctx.shortcut else None, None, None, None


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _padding(conv: nn.Conv2d) -> list[int] | None:
    """Return the padding on either side of rows and columns; None where the two sides differ."""
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    return [top, left] if (left, top) == (right, bottom) else None


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[str(node.target)]) is nn.ReLU
    if node.op == "call_method":
        return node.target in ("relu", "relu_")
    return node.op == "call_function" and node.target in _RELUS


def _is_plain(node: Any, modules: dict[str, nn.Module], network: fx.GraphModule) -> bool:
    """Return whether a node is a convolution that nothing else uses and zeros surround."""
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.users) > 1:
        return False
    layer = modules[str(node.target)]
    conv = last_convolution("", layer)[1]
    if type(conv) not in CONVOLUTIONS:
        return False
    assert isinstance(conv, nn.Conv2d)
    if _padding(conv) is None:
        return False
    alone = sum(other.target == node.target for other in network.graph.nodes) == 1
    watched = layer._forward_hooks or conv._forward_hooks
    return alone and conv.padding_mode == "zeros" and not watched


def _fuse_addition(
    network: fx.GraphModule, relu: fx.Node, addition: fx.Node, modules: dict[str, nn.Module]
) -> None:
    if len(addition.args) != 2 or addition.kwargs:
        return
    order = {node: i for i, node in enumerate(network.graph.nodes)}
    nodes = [node for node in addition.args if isinstance(node, fx.Node)]
    if len(nodes) != 2:
        return
    # The later of the two is fused: by then the other one is there.
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
    layer = network.get_submodule(path)
    convolution = last_convolution(path, layer)[1]
    assert isinstance(convolution, nn.Conv2d)
    fused_layer: nn.Module = FusedConv(convolution)
    if isinstance(layer, ConvNorm2d):
        fused_layer = ConvNormThen(layer, fused_layer)
    setattr(network.get_submodule(parent), name, fused_layer)
    inputs = (conv.args[0],) if shortcut is None else (conv.args[0], shortcut)
    with network.graph.inserting_before(relu):
        fused = network.graph.call_module(path, inputs)
    relu.replace_all_uses_with(fused)
    network.graph.erase_node(relu)
