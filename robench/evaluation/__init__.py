"""Evaluation: attacks and samples in, per-sample outcomes out."""

from robench.evaluation.evaluate import Evaluation, evaluate, group_by_search
from robench.evaluation.outcomes import Outcomes

__all__ = ["Evaluation", "Outcomes", "evaluate", "group_by_search"]
