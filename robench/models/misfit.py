"""Why no state dict of a file fits a network: which names and shapes differ, and how many."""

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Any

from torch import Tensor

from robench.errors import shortened
from robench.models.fits import WRAPPERS
from robench.models.state_dicts import StateDict, canonical_names
from robench.models.whole_parts import Tied

COUNTER = "num_batches_tracked"
"""What the counter of a batch norm's batches is called; old files lack it."""

Slots = Mapping[str, tuple[int, ...] | None]
"""Names of a network's state, with the shapes of tensors; None if any value fits."""


def given_as(name: str, given: Container[str], tied: Tied) -> str | None:
    """Return the name under which a file has a value of a network: its own before others of it."""
    return next((n for n in (name, *tied.get(name, ())) if n in given), None)


def other_shape(value: Any, wanted: tuple[int, ...] | None) -> str | None:
    """Return the shape of a value if it is not the wanted one, or None."""
    if wanted is None or (isinstance(value, Tensor) and tuple(value.shape) == wanted):
        return None
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def misfit(slots: Slots, states: Sequence[StateDict], tied: Tied) -> str:
    """Return what is wrong with the state dict that has most of the wanted names.

    Args:
        slots: the network's state.
        states: the state dicts of a file, of which none fits.
        tied: the other names of each value of the network.
    """
    wanted = {n: new for n, new in canonical_names(slots).items() if not n.endswith(COUNTER)}
    values = max((_bare(state, slots) for state in states),
                 key=lambda found: len(set(found) & set(wanted.values())))  # fmt: skip
    given = {name for name, new in wanted.items() if new in values}
    missing = [name for name in wanted if given_as(name, given, tied) is None]
    shapes = {name: shape for name in wanted if name in given
              and (shape := other_shape(values[wanted[name]], slots[name]))}  # fmt: skip
    extra = sorted(set(values) - set(canonical_names(slots).values()))
    fits = f"{len(given) - len(shapes)} of its {len(wanted)} values fit"
    other = "holds the weights of another model" if 2 * len(given) < len(wanted) else "does not fit"
    if missing:
        renamed = [n for n in extra if other_shape(values[n], slots[missing[0]]) is None]
        hint = f"; the file has '{shortened(renamed[0])}' of its shape instead" if renamed else ""
        return f"{other}: '{missing[0]}' is missing{_more(missing)}{hint} ({fits})"
    if shapes:
        name, shape = next(iter(shapes.items()))
        return (
            f"{other}: '{name}' has shape {shape} where {slots[name]} is needed"
            f"{_more(shapes)} ({fits})"
        )
    if extra:
        return (
            f"{other}: it also has '{shortened(extra[0])}'{_more(extra)}, for which the model has "
            f"no place"
        )
    return f"{other}: its names are not unique"


def _more(found: Collection[str]) -> str:
    others = len(found) - 1
    return f", and {others} more" if others else ""


def _bare(state: StateDict, slots: Slots) -> dict[str, Any]:
    """Return the values of a state dict without the names of wrappers such as ``module``."""
    values = dict(state.values)
    while (first := next(iter(values)).partition(".")[0]) in WRAPPERS:
        if not all(k.startswith(f"{first}.") for k in values) or set(values) <= set(slots):
            break
        values = {k.removeprefix(f"{first}."): v for k, v in values.items()}
    return {new: values[old] for old, new in canonical_names(values).items()}
