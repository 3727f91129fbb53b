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


def join_hashes(defense: str | None, method: str | None) -> str | None:
    """Return the hash of the users' files that a row's defense and training method come from.

    Either may be None, of an entry of the suite; one hash alone, or one file of both, is left as
    it is.
    """
    if defense is None or method is None or defense == method:
        return defense or method
    return hashlib.sha256(f"{defense} {method}".encode()).hexdigest()[:16]


def differences(changed: Spec, base: Spec) -> str:
    """Return what a specification changes in another, as ``lr=0.01, precision=float32``."""
    before = base.model_dump()
    changes = {k: v for k, v in changed.model_dump().items() if v != before[k]}
    return ", ".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in changes.items()
    )
