"""Attacks that must not be weaker than others: steps, restarts, noise (Carlini et al. 2019)."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from itertools import permutations

from robench.base import Attack
from robench.checks.context import CheckContext
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, Paired, paired
from robench.checks.wording import chance, percent

STEPS = 100
"""Steps of the longer search."""

RESTARTS = 5
"""Searches of the repeated one."""


def single_step(context: CheckContext) -> Finding:
    """PGD must not be weaker than the one step of FGSM in the same ball."""
    strong, weak = context.run(context.standard(), context.attack("fgsm"))
    found = [("PGD with 20 steps", "one step of FGSM", paired(strong, weak))]
    return _not_weaker("single_step", found, "many small steps do worse than a large one")


def noise_floor(context: CheckContext) -> Finding:
    """Random noise of the same size must not be stronger than PGD."""
    strong, weak = context.run(context.standard(), context.attack("noise"))
    found = [("PGD with 20 steps", "random noise of the same size", paired(strong, weak))]
    return _not_weaker("noise_floor", found, "its gradients say less than chance does")


def more_steps(context: CheckContext) -> Finding:
    """More steps must not be weaker: those of the board's own columns, and many more."""
    few, many = context.standard(), context.standard(steps=STEPS)
    strong, weak = context.run(many, few)
    found = [
        *_own_pairs(context, "steps", lambda n: f"{n} steps"),
        (f"PGD with {STEPS} steps", "20 steps", paired(strong, weak)),
    ]
    return _not_weaker("more_steps", found, "more steps harm it")


def more_restarts(context: CheckContext) -> Finding:
    """Searches from several starts must not be weaker than from one."""
    several, one = context.standard(restarts=RESTARTS), context.standard()
    strong, weak = context.run(several, one)
    found = [
        *_own_pairs(context, "restarts", lambda n: f"{n} starts"),
        (f"PGD from {RESTARTS} random starts", "one start", paired(strong, weak)),
    ]
    return _not_weaker("more_restarts", found, "more starts harm it")


_Named = tuple[str, str, Paired]
"""The attack that must not be weaker, the other one, and the comparison."""


def _own_pairs(context: CheckContext, option: str, words: Callable[[int], str]) -> Iterable[_Named]:
    """Compare columns of the board that differ in one option only; the larger value is first."""
    columns = context.board.items()
    for (name, (attack, outcomes)), (_, (other, others)) in permutations(columns, 2):
        value, less = _option(attack, option), _option(other, option)
        if value is None or less is None or value <= less or type(attack) is not type(other):
            continue
        if replace(attack, samples=None, **{option: less}) == replace(other, samples=None):
            yield f"{name} ({words(value)})", words(less), paired(outcomes, others)


def _option(attack: Attack, name: str) -> int | None:
    value = getattr(attack, name, None)
    known = any(f.name == name for f in fields(attack))
    return value if known and isinstance(value, int) else None


def _not_weaker(check: str, found: list[_Named], verdict: str) -> Finding:
    """Judge several comparisons at one joint level; tell the worst, or the last where all is well.

    The level is shared by Bonferroni's correction.
    """
    worst = min(found, key=lambda named: named[2].p)
    p = min(1.0, worst[2].p * len(found))
    strong, weak, told = worst if p < LEVEL else found[-1]
    verb = "leave" if weak.endswith("s") else "leaves"
    figures = (
        f"{strong} leaves {percent(told.strong)} of {told.samples} images where {weak} {verb} "
        f"{percent(told.weak)}"
    )
    if p < LEVEL:
        only = f"{told.only_weak} are fooled by the latter alone, {told.only_strong} by the former"
        return Finding(check, False, f"{figures} ({only}; {chance(p)}): {verdict}.")
    return Finding(check, True, f"{figures}: it is not weaker.")
