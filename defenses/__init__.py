"""Normalization defenses, one file per entry; their layers are ordinary modules.

The most common built-in ones are importable from here; a new entry needs no line in this file.
"""

from robench.defenses.batchnorm import BatchNorm
from robench.defenses.convnorm import ConvNorm
from robench.defenses.spectral_norm import SpectralNorm
from robench.defenses.vanilla import Vanilla
from robench.layers.convnorm import ConvNorm2d

__all__ = ["BatchNorm", "ConvNorm", "ConvNorm2d", "SpectralNorm", "Vanilla"]
