"""Compare attacks that must not be weaker than others, on the same samples."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from itertools import permutations

from robench.base import Attack
from robench.checks.context import CheckContext
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, Paired, paired
from robench.checks.wording import chance, percent

Comparison = tuple[str, str, Paired]
"""The attack that must not be weaker, the other attack, and their comparison."""


def column_pairs(
    context: CheckContext, option: str, words: Callable[[int], str]
) -> Iterable[Comparison]:
    """Compare columns that differ in one integer option only; the larger value comes first.

    Args:
        context: the context that holds the columns.
        option: the option of the attacks, such as "steps".
        words: formats a value of the option, ``20 steps``.
    """
    columns = context.columns.items()
    for (name, (attack, outcomes)), (_, (other, others)) in permutations(columns, 2):
        value, less = _option(attack, option), _option(other, option)
        if value is None or less is None or value <= less or type(attack) is not type(other):
            continue
        if replace(attack, samples=None, **{option: less}) == replace(other, samples=None):
            yield f"{name} ({words(value)})", words(less), paired(outcomes, others)


def not_weaker(check: str, compared: list[Comparison], meaning: str) -> Finding:
    """Return the finding of several comparisons: of the worst, or of the last if all pass.

    They share one significance level, by Bonferroni's correction.

    Args:
        check: the name of the finding.
        compared: at least one comparison.
        meaning: what it means if an attack is weaker.
    """
    worst = min(compared, key=lambda named: named[2].p)
    p = min(1.0, worst[2].p * len(compared))
    strong, weak, found = worst if p < LEVEL else compared[-1]
    verb = "leave" if weak.endswith("s") else "leaves"
    figures = (
        f"{strong} leaves {percent(found.strong)} of {found.samples} images where {weak} {verb} "
        f"{percent(found.weak)}"
    )
    if p < LEVEL:
        only = (
            f"{found.only_weak} are fooled by the latter alone, {found.only_strong} by the former"
        )
        return Finding(check, False, f"{figures} ({only}; {chance(p)}): {meaning}.")
    return Finding(check, True, f"{figures}: it is not weaker.")


def _option(attack: Attack, name: str) -> int | None:
    value = getattr(attack, name, None)
    known = any(f.name == name for f in fields(attack))
    return value if known and isinstance(value, int) else None
