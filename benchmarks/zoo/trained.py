"""The networks that models of the zoo are made of, each trained once."""

from functools import cache
from typing import Any

from torch import nn

from robench import train
from zoo.entry import THREAT_MODEL

COMMON: dict[str, Any] = {
    "width": 8,
    "lr": 0.05,
    "eps": THREAT_MODEL.eps,
    "step_size": THREAT_MODEL.eps,
    "schedule": "one-cycle",
}
RECIPES: dict[str, dict[str, Any]] = {
    "standard": {"method": "standard", "epochs": 4},
    "standard_1": {"method": "standard", "epochs": 4, "seed": 1},
    "standard_2": {"method": "standard", "epochs": 4, "seed": 2},
    "free": {"epochs": 4},
}
"""Keyword arguments of :func:`robench.train`, by the name of the network."""


@cache
def network(name: str) -> nn.Module:
    """Return a trained network in eval mode, the same one at each call: wrap it, do not change it.

    Args:
        name: a key of :data:`RECIPES`.
    """
    recipe = {**COMMON, **RECIPES[name]}
    return train(recipe.pop("defense", "batchnorm"), "mnist5k", **recipe)
