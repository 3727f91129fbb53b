"""What a defense does to the operator of each layer: norms, condition numbers, pictures."""

from robench.diagnostics.comparison import condition_ratios
from robench.diagnostics.spectra import spectra

__all__ = ["condition_ratios", "spectra"]
