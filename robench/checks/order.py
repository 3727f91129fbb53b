"""Which checks are run, and in which order."""

import re
from collections.abc import Sequence

from robench.checks.contract import Check
from robench.errors import UserError
from robench.registry import checks as registry

ORDER = (
    "eps_sweep",
    "single_step",
    "noise_floor",
    "more_steps",
    "more_restarts",
    "black_box",
    "transfer",
    "gradients",
    "loss_rises",
    "same_logits",
    "any_batch",
    "inside_ball",
    "train_eval_gap",
    "binarization",
)
"""Reports are published and hashed, and a check reuses the attacks of those before it: the order is
part of what a report says. Other checks follow in the order in which they are named."""


def default_checks() -> tuple[str, ...]:
    """Return the names of the checks that are run unless others are asked for.

    Those of :data:`ORDER` come first, then :func:`added_checks`.
    """
    return (*(name for name in ORDER if _by_default(name)), *added_checks())


def added_checks() -> tuple[str, ...]:
    """Return the default checks beyond those of :data:`ORDER`, as of plugins, sorted by name."""
    return tuple(name for name in registry if name not in ORDER and _by_default(name))


def build_checks(wanted: Sequence[str | Check]) -> list[Check]:
    """Build the checks that are named and put them into their order.

    Args:
        wanted: names with options, ``"more_steps(steps=200)"``, or check objects.

    Raises:
        UserError: for an unknown check or option, a finding that cannot be named so, or two
            findings of one name.
    """
    built: list[Check] = [registry.build(w) if isinstance(w, str) else w for w in wanted]
    names = [name for check in built for name in check.findings]
    for name in names:
        if not re.fullmatch(r"[a-z0-9_]{1,40}", name):
            raise UserError(
                f"'{name[:80]}' cannot name a finding: use at most 40 lower-case letters, digits "
                f"and _."
            )
        if names.count(name) > 1:
            raise UserError(f"two checks would report '{name}'; name each check once.")
    place = {registry.get(name).build: index for index, name in enumerate(ORDER)}
    return sorted(built, key=lambda check: place.get(type(check), len(ORDER)))


def _by_default(name: str) -> bool:
    return bool(getattr(registry.get(name).build, "by_default", True))
