"""Effects of a defense on the operator of each layer: norms, condition numbers, figures."""

from robench.diagnostics.comparison import condition_ratios
from robench.diagnostics.spectra import spectra

__all__ = ["condition_ratios", "spectra"]
