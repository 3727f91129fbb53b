"""Evaluation: attacks and samples in, per-sample outcomes out."""

from robench.evaluation.evaluate import evaluate, group_by_search
from robench.evaluation.evaluation import Evaluation
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.radius_curves import compare_sizes, radius_curves

__all__ = [
    "Evaluation",
    "Outcomes",
    "compare_sizes",
    "evaluate",
    "group_by_search",
    "radius_curves",
]
