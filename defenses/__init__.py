"""Normalization defenses, one file an entry; their layers are ordinary modules."""

from robench.layers.convnorm import ConvNorm2d

__all__ = ["ConvNorm2d"]
