"""Shared code of the tests of checks: attacks, forged outcomes, a wrapper."""

import re
from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from robench.base import Attack
from robench.checks.context import CheckContext
from robench.checks.report import Finding
from robench.evaluation import Outcomes
from robench.leaderboard.audit.findings import FORMS
from robench.registry import attacks

EPS, STEP = 0.1, 0.025

MakeContext = Callable[..., CheckContext]


def attack(name: str) -> Attack:
    """Build an attack of the board."""
    return attacks.build(name, {"norm": "linf", "eps": EPS, "step_size": STEP})


def forged(
    fooled: range, count: int = 200, *, backwards: int = 1, forwards: int = 1, size: float = EPS
) -> Outcomes:
    """Forge outcomes of an attack that fooled these of ``count`` samples, all clean-correct."""
    robust = np.ones(count, dtype=bool)
    robust[list(fooled)] = False
    sizes = np.full(count, size, dtype=np.float32)
    costs = [np.full(count, n, dtype=np.int64) for n in (forwards, forwards, backwards)]
    return Outcomes(np.ones(count, dtype=bool), robust, robust.copy(), *costs, sizes, sizes)


class Wrapped(nn.Module):
    """A network around another one."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


def has_form(finding: Finding) -> bool:
    """Return whether the audit of published boards knows the sentence of a finding."""
    fitting = [form for form in FORMS[finding.check] if form.passed is finding.passed]
    return any(re.fullmatch(form.text, finding.sentence) for form in fitting)
