"""Sanity checks for robust accuracies: is the model robust, or do the attacks fail?

Each check looks for one of the known ways in which robustness is overstated (Athalye, Carlini and
Wagner 2018; Carlini et al. 2019; Pintor et al. 2022; Zimmermann et al. 2022) and reports what it
found in a sentence. A failed check does not prove a fault: it raises a question that the row must
answer.

Each file of :mod:`robench.checks.entries` is one check; shared code is in this package.
"""

from robench.checks.check import check_model
from robench.checks.context import CheckContext
from robench.checks.contract import Check
from robench.checks.order import default_checks
from robench.checks.report import Finding, Report

__all__ = ["Check", "CheckContext", "Finding", "Report", "check_model", "default_checks"]
