"""Which layers of a network are norm layers: those that a defense replaces, and all others."""

import re
import warnings
from collections.abc import Mapping

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from robench.base import Defense
from robench.errors import RobenchWarning

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm, nn.InstanceNorm2d)
"""Norm layers of images that a defense keeps, replaces or drops."""

_NAMES = re.compile(r"(batch|layer|group|instance|rms|filter_?response|evo)_?norm", re.IGNORECASE)


def is_norm(module: nn.Module) -> bool:
    """Return whether a layer of torch, of a library or of anyone is a norm layer.

    Of classes that torch does not have, such as torchvision's ``FrozenBatchNorm2d``, the name says
    it; a block with a convolution is none.
    """
    if isinstance(module, (*NORMS, _NormBase, nn.LayerNorm)):
        return True
    return bool(_NAMES.search(type(module).__name__)) and not any(
        isinstance(part, nn.Conv2d | nn.Linear) for part in module.modules()
    )


def warn_of_norms_left(defense: Defense, layers: Mapping[str, nn.Module]) -> None:
    """Warn if a defense that drops or replaces norm layers leaves some that it does not know.

    Args:
        defense: the defense.
        layers: the layers that it may change, by name.
    """
    left = {name: m for name, m in layers.items() if is_norm(m) and not isinstance(m, NORMS)}
    probe = nn.BatchNorm2d(64)
    if not left or defense.replace_norm(probe) is probe:
        return
    name, first = next(iter(left.items()))
    warnings.warn(
        f"{type(defense).__name__} replaces or drops {', '.join(kind.__name__ for kind in NORMS)}; "
        f"it leaves {len(left)} other norm layer(s) as they are, such as '{name}', a "
        f"{type(first).__name__}: replace them first, or name them in skip.",
        RobenchWarning,
        stacklevel=3,
    )
