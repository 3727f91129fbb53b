"""Attacks that must not be weaker than others: steps, restarts, noise (Carlini et al. 2019)."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from itertools import permutations

from robench.base import Attack
from robench.checks.context import Subject
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, Paired, paired
from robench.checks.wording import chance, percent

STEPS = 100
"""Steps of the longer search."""

RESTARTS = 5
"""Searches of the repeated one."""


def single_step(subject: Subject) -> Finding:
    """PGD must not be weaker than the one step of FGSM in the same ball."""
    strong, weak = subject.run(subject.standard(), subject.attack("fgsm"))
    found = [("PGD with 20 steps", "one step of FGSM", paired(strong, weak))]
    return _not_weaker("single_step", found, "many small steps do worse than a large one")


def noise_floor(subject: Subject) -> Finding:
    """Random noise of the same size must not be stronger than PGD."""
    strong, weak = subject.run(subject.standard(), subject.attack("noise"))
    found = [("PGD with 20 steps", "random noise of the same size", paired(strong, weak))]
    return _not_weaker("noise_floor", found, "its gradients say less than chance does")


def more_steps(subject: Subject) -> Finding:
    """More steps must not be weaker: those of the board's own columns, and many more."""
    few, many = subject.standard(), subject.standard(steps=STEPS)
    strong, weak = subject.run(many, few)
    found = [
        *_own_pairs(subject, "steps", lambda n: f"{n} steps"),
        (f"PGD with {STEPS} steps", "20 steps", paired(strong, weak)),
    ]
    return _not_weaker("more_steps", found, "more steps harm it")


def more_restarts(subject: Subject) -> Finding:
    """Searches from several starts must not be weaker than from one."""
    several, one = subject.standard(restarts=RESTARTS), subject.standard()
    strong, weak = subject.run(several, one)
    found = [
        *_own_pairs(subject, "restarts", lambda n: f"{n} starts"),
        (f"PGD from {RESTARTS} random starts", "one start", paired(strong, weak)),
    ]
    return _not_weaker("more_restarts", found, "more starts harm it")


_Named = tuple[str, str, Paired]
"""The attack that must not be weaker, the other one, and the comparison."""


def _own_pairs(subject: Subject, option: str, words: Callable[[int], str]) -> Iterable[_Named]:
    """Compare columns of the board that differ in one option only; the larger value is first."""
    columns = subject.board.items()
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
