"""The recipe of an arm: the board's, what the defense sets, what the arm sets; the last wins."""

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
        UserError: for an unknown key or a wrong value, or bf16 where the defense does not bear it.
    """
    try:
        recipe = TrainingSpec.model_validate({**base.model_dump(), **defense.recipe, **changes})
    except ValidationError as error:
        raise UserError(explain(error, TrainingSpec)) from None
    if recipe.precision == "bf16" and not defense.supports.mixed_precision:
        raise UserError(
            f"precision = 'bf16': {type(defense).__name__} does not support mixed precision; "
            f"use 'float32'."
        )
    return recipe


def differences(changed: Spec, base: Spec) -> str:
    """Return what a specification changes in another, as ``lr=0.01, precision=float32``."""
    before = base.model_dump()
    changes = {k: v for k, v in changed.model_dump().items() if v != before[k]}
    return ", ".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in changes.items()
    )
