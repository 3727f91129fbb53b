"""Every defense of the suite after free training."""

from functools import partial
from typing import Any

from torch import nn

from robench.registry import defenses
from zoo.entry import Entry
from zoo.trained import trained

RECIPE: dict[str, Any] = {"width": 4, "epochs": 2}
"""A few seconds each; those that learn little from it are honest models of low accuracy."""


def _build(defense: str) -> nn.Module:
    return trained(f"free_{defense}", defense=defense, **RECIPE)


ENTRIES = {
    f"defense_{entry.name}": Entry(
        partial(_build, entry.name),
        f"Free adversarial training with the defense '{entry.name}' hides no gradient.",
    )
    for entry in defenses.entries()
}
