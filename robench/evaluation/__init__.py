"""Evaluation: attacks and samples in, per-sample outcomes out."""

from robench.evaluation.evaluate import Evaluation, evaluate
from robench.evaluation.outcomes import Outcomes

__all__ = ["Evaluation", "Outcomes", "evaluate"]
