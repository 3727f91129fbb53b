"""robench: adversarial-robustness benchmark for normalization layers.

The names below are the public Python interface; they are imported when they are first used, so
that ``import robench`` and ``robench --help`` do not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.api import train
    from robench.contracts import Adversarial, Attack, Defense
    from robench.data import DataSet, load_dataset
    from robench.diagnostics import condition_ratios, spectra
    from robench.errors import UserError
    from robench.evaluation import Evaluation, Outcomes, evaluate
    from robench.leaderboard.published import Leaderboard
    from robench.models import apply_defense, build_model
    from robench.registry import (
        register_attack,
        register_backbone,
        register_dataset,
        register_defense,
    )
    from robench.state import frozen_stats

_HOME = {
    "Adversarial": "contracts",
    "Attack": "contracts",
    "DataSet": "data",
    "Defense": "contracts",
    "Evaluation": "evaluation",
    "Leaderboard": "leaderboard.published",
    "Outcomes": "evaluation",
    "UserError": "errors",
    "apply_defense": "models",
    "build_model": "models",
    "condition_ratios": "diagnostics",
    "evaluate": "evaluation",
    "frozen_stats": "state",
    "load_dataset": "data",
    "register_attack": "registry",
    "register_backbone": "registry",
    "register_dataset": "registry",
    "register_defense": "registry",
    "spectra": "diagnostics",
    "train": "api",
}

__all__ = [
    "Adversarial",
    "Attack",
    "DataSet",
    "Defense",
    "Evaluation",
    "Leaderboard",
    "Outcomes",
    "UserError",
    "apply_defense",
    "build_model",
    "condition_ratios",
    "evaluate",
    "frozen_stats",
    "load_dataset",
    "register_attack",
    "register_backbone",
    "register_dataset",
    "register_defense",
    "spectra",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'robench' has no attribute '{name}'")
    return getattr(import_module(f"robench.{_HOME[name]}"), name)
