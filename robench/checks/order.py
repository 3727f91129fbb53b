"""The selection and order of checks."""

import re
from collections.abc import Sequence

from robench.checks.contract import Check
from robench.errors import UserError
from robench.registry import checks as registry

ORDER = (
    "stateful",
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
    "saturated_probability",
    "probability_outputs",
    "autograd_in_forward",
    "wrong_gradient",
    "rough_logits",
    "unstable_gradient",
    "discontinuous",
    "other_loss",
    "zero_gradients_by_class",
    "incomplete_optimization",
    "silent_success",
    "batch_dependence",
    "restricted",
)
"""Reports are published and hashed, and a check reuses the attacks of the checks before it, so the
order is part of a report. A network that remembers is copied before any attack of the checks.
Other checks follow in the order in which they are named."""


def default_checks() -> tuple[str, ...]:
    """Return the names of the checks that run unless others are requested.

    Those of :data:`ORDER` come first, then :func:`added_checks`.
    """
    return (*(name for name in ORDER if _by_default(name)), *added_checks())


def added_checks() -> tuple[str, ...]:
    """Return the default checks that are not in :data:`ORDER`, such as plugins', sorted by name."""
    return tuple(name for name in registry if name not in ORDER and _by_default(name))


def checks_of_board(binarization: bool) -> tuple[str, ...]:
    """Return the names of the checks of a board's cells.

    Args:
        binarization: whether the board asks for the binarization test, too.
    """
    extra = ("binarization",) if binarization else ()
    return tuple(dict.fromkeys((*default_checks(), *extra)))


def build_checks(wanted: Sequence[str | Check]) -> list[Check]:
    """Build the requested checks and sort them.

    Args:
        wanted: names with options, ``"more_steps(steps=200)"``, or check objects.

    Raises:
        UserError: if a check or option is unknown, the name of a finding is not valid, or two
            findings have the same name.
    """
    built: list[Check] = [registry.build(w) if isinstance(w, str) else w for w in wanted]
    names = [name for check in built for name in check.findings]
    for name in names:
        if not re.fullmatch(r"[a-z0-9_]{1,40}", name):
            raise UserError(
                f"'{name[:80]}' is not a valid name for a finding; use at most 40 lower-case "
                f"letters, digits and _."
            )
        if names.count(name) > 1:
            raise UserError(f"two checks would report '{name}'; list each check once.")
    position = {registry.get(name).build: index for index, name in enumerate(ORDER)}
    return sorted(built, key=lambda check: position.get(type(check), len(ORDER)))


def _by_default(name: str) -> bool:
    return bool(getattr(registry.get(name).build, "by_default", True))
