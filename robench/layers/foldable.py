"""The interface of layers that can run in a simpler form under attack."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from robench.kernels.depthwise import Depthwise

PLAIN_CONVOLUTIONS = (nn.Conv2d, Depthwise)
"""Layers that only convolve with their weight; their subclasses may do more."""


@runtime_checkable
class Foldable(Protocol):
    """A layer that has a simpler form while its weights are frozen, as they are under attack.

    Attacks run on a copy of the network in which every layer that has a ``folded`` method is
    replaced by its result. Nothing has to be inherited or registered, so the layers of a plugin
    can implement it just as the built-in ones do::

        class UnitConv2d(nn.Conv2d):  # filters of norm 1, with a learned scale per channel
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                self.scale = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

            def weight_in_use(self):
                norm = self.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
                return self.scale * self.weight / norm

            def forward(self, x):
                return self._conv_forward(x, self.weight_in_use(), self.bias)

            def folded(self):
                return plain_conv(self, self.weight_in_use(), self.bias)

    The returned module computes the same function in evaluation mode, with everything that depends
    only on the weights computed once. It may share tensors and modules with the layer, which itself
    must not change. Return None to keep the layer, e.g. for options without a simpler form.

    A plain convolution (``PLAIN_CONVOLUTIONS``) also absorbs the batch norm, the shortcut and the
    ReLU that follow it, and has its weight in bf16 if gradients are taken in bf16. A layer that
    does something else first should therefore return ``nn.Sequential(first_part, convolution)``.

    A layer with a ``folded`` method is a leaf for torch.fx, even if the method returns None,
    whereas other modules that contain modules are traced through. A layer with a forward hook is
    not folded. A subclass with another ``forward`` needs another ``folded``. The copy is only used
    if it runs and its logits and input gradients on a few images agree with those of the network.
    """

    def folded(self) -> nn.Module | None:
        """Return a module that computes the same function in evaluation mode, or None."""


def plain_conv(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a frozen convolution with the geometry of ``like``."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    for name in (*nn.Conv2d.__constants__, "_reversed_padding_repeated_twice"):
        setattr(conv, name, getattr(like, name))
    conv.weight = nn.Parameter(weight.detach(), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    return conv.eval()


def is_hooked(module: nn.Module) -> bool:
    """Return whether a module has a forward hook, which a plain layer would lose."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def is_foldable(module: nn.Module) -> bool:
    """Return whether a layer is :class:`Foldable`: its class has a method of that name."""
    return callable(getattr(type(module), "folded", None))
