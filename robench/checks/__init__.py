"""Checks: is a figure of robustness to be believed, or do attacks fail for another reason?

Each check looks for one of the known ways in which robustness is overstated (Athalye, Carlini and
Wagner 2018; Carlini et al. 2019; Pintor et al. 2022; Zimmermann et al. 2022) and says what it found
in a sentence. A check that fails is no proof of a fault, but a question that the row must answer.
"""

from robench.checks.check import check_model
from robench.checks.report import Finding, Report

__all__ = ["Finding", "Report", "check_model"]
