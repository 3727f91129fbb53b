"""Contracts of defenses, attacks, models and training methods.

Entries in ``defenses/``, ``attacks/`` and ``robench/training/methods/`` subclass these frozen
dataclasses; their fields are the options that a board may set. The engine acts on what an entry
declares, never on its name.
"""

from robench.base.attack import ADDED_LATER, Adversarial, Attack, Proof, ThreatModel
from robench.base.defense import DIFFERENTIABLE, FLOAT32, ConvDefense, Defense, Kind, Supports
from robench.base.inheritance import RadiusOptions
from robench.base.layer_bound import Bounded, LayerBound
from robench.base.model import LogitsModel, SearchKeeper, Stem, VictimModel
from robench.base.training_method import TrainingLoss, TrainingMethod, Update

__all__ = [
    "ADDED_LATER",
    "DIFFERENTIABLE",
    "FLOAT32",
    "Adversarial",
    "Attack",
    "Bounded",
    "ConvDefense",
    "Defense",
    "Kind",
    "LayerBound",
    "LogitsModel",
    "Proof",
    "RadiusOptions",
    "SearchKeeper",
    "Stem",
    "Supports",
    "ThreatModel",
    "TrainingLoss",
    "TrainingMethod",
    "Update",
    "VictimModel",
]
