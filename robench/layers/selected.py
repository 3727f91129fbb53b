"""Selecting the convolutions of a network to which a penalty or projection applies."""

from fnmatch import fnmatchcase

from torch import nn

from robench.errors import UserError


def selected_convs(model: nn.Module, layers: str) -> list[nn.Conv2d]:
    """Return the convolutions whose names match one of the patterns.

    Args:
        model: any network.
        layers: shell patterns separated by ``|``, e.g. ``"*layer1*|*downsample*"``; ``"*"``
            selects every convolution.

    Raises:
        UserError: if none matches; the message names one of the network's convolutions.
    """
    convs = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    patterns = layers.split("|")
    chosen = [conv for name, conv in convs.items() if any(fnmatchcase(name, p) for p in patterns)]
    if not chosen:
        example = f"; its convolutions have names such as '{next(iter(convs))}'" if convs else ""
        raise UserError(f"layers = '{layers}' matches no convolution of the network{example}.")
    return chosen
