"""The recipe of a row: the board's, then the defense's settings, then the row's; the last wins."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from robench.base import Defense
from robench.board.explain import explain
from robench.board.specs import METHOD_OPTIONS, Spec, TrainingSpec
from robench.errors import UserError, did_you_mean
from robench.registry import training_methods


def recipe_for(base: TrainingSpec, defense: Defense, changes: Mapping[str, Any]) -> TrainingSpec:
    """Return the training recipe of a defense.

    Args:
        base: the recipe of the board.
        defense: its declared ``recipe`` takes precedence over the board's.
        changes: the settings of the row or the caller; they take precedence over the defense's.

    Raises:
        UserError: for an unknown key, a wrong value or one that the training method refuses, or
            bf16 or averaged weights if the defense does not support them.
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
    if recipe.averaging and not defense.supports.averaging:
        raise UserError(
            f"averaging = {recipe.averaging:g}: {type(defense).__name__} evaluates the kernels of "
            f"its last training forward, which no average of its weights reaches; use 0."
        )
    return recipe


def check_changes(recipe: TrainingSpec, changes: Mapping[str, Any]) -> None:
    """Check that each setting of a row has an effect: its table would show it all the same.

    Args:
        recipe: the recipe of the row.
        changes: what the row sets itself.

    Raises:
        UserError: for a setting that the training method or the schedule of the row does not have.
    """
    entry, given = training_methods.lookup(recipe.method)
    known = training_methods.options(entry.name)
    for key in changes.keys() & {*METHOD_OPTIONS}:
        if key not in known:
            raise UserError(
                f"{key} has no effect, since the training method '{entry.name}' has no such option;"
                f" {did_you_mean(key, known)}"
            )
        if key in given:
            raise UserError(
                f"{key} has no effect, since method = '{recipe.method}' sets it, too; give it once."
            )
    if "milestones" in changes and recipe.schedule != "step":
        raise UserError(
            f"milestones have no effect with schedule = '{recipe.schedule}'; leave them out, or "
            f"use 'step'."
        )


def differences(changed: Spec, base: Spec) -> str:
    """Return what ``changed`` changes in ``base``, such as ``lr=0.01, precision=float32``."""
    before = base.model_dump()
    changes = {k: v for k, v in changed.model_dump().items() if v != before[k]}
    return ", ".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in changes.items()
    )
