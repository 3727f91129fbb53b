"""Other values for a field: what a forger might write there."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

LIES: dict[str, tuple[Any, ...]] = {
    "defense": ("vanilla", "groupnorm", "weight_norm"),
    "defenses": ("vanilla", "groupnorm", "weight_norm"),
    "attacks": ("pgd-7", "fgsm(eps=0.2)", "pgd-50"),
    "rank_by": ("clean", "fgsm"),
    "method": ("standard", "free(replays=4)"),
    "without": ("bf16",),
    "authors": ("Somebody Else",),
    "source": ("ab" * 32,),
    "refused": ({"folding": "its layers cannot be folded"},),
    "sources": ({"defense batchnorm": "cd" * 32},),
    "baseline": ("convnorm", "batchnorm"),
    "crop_padding": (4, 2),
    "flip": (True,),
    "plugin_hash": ("ef" * 32,),
    "mean": ((0.5,), (0.1,)),
    "std": ((0.5,), (0.1,)),
    "passed": (True, False, None),
    "check": ("certified", "more_steps"),
    "precision": ("bf16", "float32"),
    "schedule": ("step", "one-cycle"),
    "stem": ("half", "imagenet"),
    "gradients": ("bf16", "float32"),
}
"""Values by the name of a field, where a random change would be no likely lie."""


def another(value: Any, name: str, siblings: Sequence[Any], rng: np.random.Generator) -> Any:
    """Return another value for a field; the same if none comes to mind.

    Args:
        value: the value now.
        name: the last key of its path.
        siblings: the values of the same field elsewhere in the folder.
        rng: where the choice comes from.
    """
    others = [other for other in siblings if other != value]
    lies = [lie for lie in LIES.get(name, ()) if lie != value]
    if lies and (rng.random() < 0.8 or not others):
        return lies[rng.integers(len(lies))]
    if others and rng.random() < 0.4:
        return others[rng.integers(len(others))]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return _number(value, rng)
    if isinstance(value, str):
        return _text(value, rng)
    if value is None:
        return (0.5, 1, "other")[rng.integers(3)]
    return value


def _number(value: float, rng: np.random.Generator) -> float:
    if isinstance(value, int):
        choices: list[float] = [value + 1, max(value - 1, 0), 2 * value, 10 * value, 0]
    else:
        choices = [value * 1.01, value / 2, 2 * value, value + 0.01, 0.0, 1.0, value * 1.2]
    return choices[rng.integers(len(choices))]


def _text(value: str, rng: np.random.Generator) -> str:
    if re.fullmatch(r"[0-9a-f]{16}|[0-9a-f]{64}", value):
        return rng.bytes(len(value) // 2).hex()
    numbers = list(re.finditer(r"[0-9]+", value))
    if numbers and rng.random() < 0.7:
        match = numbers[rng.integers(len(numbers))]
        new = str(int(match[0]) + int(rng.integers(1, 10)))
        return value[: match.start()] + new + value[match.end() :]
    return f"{value} other".strip() if " " in value or not value else f"{value}_2"
