"""Building a layer that replaces a convolution."""

from typing import Any, TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Conv2d)


def adopt(kind: type[Layer], conv: nn.Conv2d, **options: Any) -> Layer:
    """Return a layer of ``kind`` with the geometry and the parameters of ``conv``.

    Args:
        kind: a subclass of ``nn.Conv2d`` that accepts the same arguments.
        conv: the convolution; its weight and bias are shared with the layer, not copied.
        options: further arguments of ``kind``.
    """
    geometry: dict[str, Any] = {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "padding_mode": conv.padding_mode,
    }
    layer = kind(
        **geometry,
        bias=conv.bias is not None,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
        **options,
    )
    layer.weight, layer.bias = conv.weight, conv.bias
    return layer
