"""Values of a file that torch would convert to floating point without a word."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_MADE_LATER = torch.empty(0)


def wrong_type(slots: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """Return which value does not fit its floating-point slot, as part of a sentence, or None.

    Floating-point values of any precision fit. Integers may be codes that mean nothing without
    their scale, and of complex numbers only the real part would be left.

    Args:
        slots: the network's state by name; a name that is missing is a buffer which its layer makes
            only while it is trained, of floating point.
        values: what is to be loaded into them, by the same names.
    """
    for name, value in values.items():
        slot = slots.get(name, _MADE_LATER)
        if not isinstance(slot, Tensor) or not isinstance(value, Tensor):  # an extra state
            continue
        if slot.is_floating_point() and not value.is_floating_point():
            stored, wanted = (str(t.dtype).removeprefix("torch.") for t in (value, slot))
            return f"'{name}' has {stored} values where {wanted} is needed"
    return None
