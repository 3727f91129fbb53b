"""The recipe of an arm: the board's, what the defense sets, what the arm sets; the last wins."""

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from robench.base import Defense
from robench.board.specs import Spec, TrainingSpec, explain
from robench.errors import UserError


def recipe_for(base: TrainingSpec, defense: Defense, changes: Mapping[str, Any]) -> TrainingSpec:
    """Return the training recipe of a defense.

    Args:
        base: of the board.
        defense: its declared ``recipe`` comes before the board's.
        changes: what the arm or the caller sets; comes before the defense's.

    Raises:
        UserError: for an unknown key, a wrong value or one that the training method refuses, or
            bf16 where the defense does not bear it.
    """
    try:
        recipe = TrainingSpec.model_validate({**base.model_dump(), **defense.recipe, **changes})
    except ValidationError as error:
        raise UserError(explain(error, TrainingSpec)) from None
    recipe.build_method()
    if recipe.precision == "bf16" and not defense.supports.mixed_precision:
        raise UserError(
            f"precision = 'bf16': {type(defense).__name__} does not support mixed precision; "
            f"use 'float32'."
        )
    return recipe


def join_hashes(*hashes: str | None) -> str | None:
    """Return one hash of the users' files that the entries of a row come from; None without any.

    Args:
        hashes: of the file of each entry; None for one of the suite.
    """
    several = list(dict.fromkeys(each for each in hashes if each is not None))
    if len(several) < 2:
        return several[0] if several else None
    return hashlib.sha256(" ".join(several).encode()).hexdigest()[:16]


def differences(changed: Spec, base: Spec) -> str:
    """Return what a specification changes in another, as ``lr=0.01, precision=float32``."""
    before = base.model_dump()
    changes = {k: v for k, v in changed.model_dump().items() if v != before[k]}
    return ", ".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in changes.items()
    )
