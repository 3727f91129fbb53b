"""Normalization defenses, one file an entry; their layers are ordinary modules.

The suite's own are importable from here; an entry that is added needs no line in this file.
"""

from robench.defenses.batchnorm import BatchNorm
from robench.defenses.convnorm import ConvNorm
from robench.defenses.spectral_norm import SpectralNorm
from robench.defenses.vanilla import Vanilla
from robench.layers.convnorm import ConvNorm2d

__all__ = ["BatchNorm", "ConvNorm", "ConvNorm2d", "SpectralNorm", "Vanilla"]
