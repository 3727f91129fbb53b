"""Selecting the convolutions of a network to which a penalty or projection applies."""

import math
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from robench.base.defense import REPLACES_CONV
from robench.errors import UserError


def selected_convs(model: nn.Module, layers: str) -> list[nn.Conv2d]:
    """Return the convolutions whose names match one of the patterns.

    Those that :func:`robench.apply_defense` left out, by its ``skip``, are none of them.

    Args:
        model: any network.
        layers: shell patterns separated by ``|``, e.g. ``"*layer1*|*downsample*"``; ``"*"``
            selects every convolution.

    Raises:
        UserError: if a pattern matches none; the message names the nearest convolution.
    """
    convs = _convs(model)
    patterns = layers.split("|")
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in convs):
            which = "" if pattern == layers else f"'{pattern}' in "
            near = get_close_matches(pattern, convs, n=1) or list(convs)[:1]
            example = f"; its convolutions have names such as '{near[0]}'" if near else ""
            raise UserError(
                f"{which}layers = '{layers}' matches no convolution of the network{example}."
            )
    return [conv for name, conv in convs.items() if any(fnmatchcase(name, p) for p in patterns)]


def _convs(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return the convolutions to which a defense was applied; all of them if none was."""
    named = dict(model.named_modules())
    convs = {name: m for name, m in named.items() if isinstance(m, nn.Conv2d)}
    marked = [m for m in named.values() if vars(m).get(REPLACES_CONV)]
    if not marked:
        return convs
    within = {id(part) for module in marked for part in module.modules()}
    return {name: conv for name, conv in convs.items() if id(conv) in within}


def check_not_negative(name: str, value: float) -> None:
    """Check the weight of a penalty, or the rate of a projection.

    Args:
        name: the option.
        value: its value.

    Raises:
        UserError: if it is negative or not finite: training would move away from its goal.
    """
    if not 0 <= value < math.inf:
        raise UserError(f"{name} is {value:g}: it must be 0 or more.")
