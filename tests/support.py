"""What several tests share: a tiny board on scikit-learn's digits, and the command line."""

from collections.abc import Callable
from dataclasses import dataclass

TINY_BOARD = """
title = "tiny"
defenses = ["batchnorm", "convnorm"]
seeds = [0]

[data]
name = "digits"

[model]
name = "resnet18"
width = 4

[training]
epochs = 2
schedule = "one-cycle"
replays = 2
eps = 0.1
step_size = 0.1

[evaluation]
attacks = ["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]
samples = 60
rank_by = "pgd-4"

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]
