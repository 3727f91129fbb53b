"""What the outcomes of two evaluations say about the devices, whatever their manifests claim."""

from collections.abc import Mapping
from dataclasses import replace

from robench.leaderboard.rerun.comparing import Changes, Conditions

LAST_BITS = {"float32": 1e-4, "bf16": 0.01}
"""Relative difference between two sizes of a perturbation that rounding explains, in the median."""

PROVEN = 20
"""Number of images that were moved along a gradient, to the bit as published, from which on two
devices compute the same: where they round differently, some are moved otherwise."""

PROVEN_IN_BF16, PROVEN_BY_ONE_STEP = 50, 400
"""The same in bf16, for attacks of several steps and of one, which changes a length only where a
sign changes at a bound of the range of values. With another instruction set of a CPU 53 of 391
images of ``quick``'s BatchNorm were moved otherwise by PGD-10, and 5 by FGSM; 102 and 7 of 102 of
the BatchNorm of ``normalizations-strong-loop``."""

SPREAD = 0.1
"""Share of the images that are moved otherwise where rounding in float32 is the reason, at most: 2%
were seen, while another column was the same to the bit."""


def as_seen(
    claimed: Mapping[str, Conditions], changes: Mapping[str, Changes]
) -> dict[str, Conditions]:
    """Return the conditions of a network's columns, with what the outcomes say about the devices.

    If sizes differ in their last bits on more than a handful of images, the devices round
    differently, whatever their names. Columns that differ by more than that, in one direction, or,
    while another column of gradients is the same to the bit, on many images or in bf16, say
    nothing: what was forged must not excuse itself or the rest.

    If no size differs in its last bit on any image with the same prediction, the devices compute
    the same, whatever versions are named: a false one must not excuse predictions that differ.

    Args:
        claimed: column -> conditions as the manifests have them.
        changes: column -> what differs.
    """
    equal = [
        found
        for name, found in changes.items()
        if claimed[name].strict and found.predictions + found.other == 0
    ]
    alike = any(found.moved >= PROVEN for found in equal)
    proven = any(f.walked >= PROVEN_IN_BF16 or f.moved >= PROVEN_BY_ONE_STEP for f in equal)
    telling = {
        name: found
        for name, found in changes.items()
        if claimed[name].strict
        and found.complete
        and found.shift <= LAST_BITS[claimed[name].gradients]
        and not found.lopsided
        and not (alike and found.sized > SPREAD * found.images)
        and not (proven and claimed[name].gradients == "bf16")
    }
    bitwise = all(found.sized == 0 for found in telling.values())
    same = all(
        found.sized <= claimed[name].allowed(found.images) for name, found in telling.items()
    )
    exact = _compute_the_same(claimed, changes)
    return {
        name: replace(
            conditions,
            bitwise=exact or (bitwise and conditions.same_device),
            same_device=exact or (conditions.same_device and (same or not conditions.strict)),
        )
        for name, conditions in claimed.items()
    }


def _compute_the_same(claimed: Mapping[str, Conditions], changes: Mapping[str, Changes]) -> bool:
    """Return whether outcomes prove that two devices compute the same, to the bit."""
    comparable = [
        found
        for name, found in changes.items()
        if not claimed[name].library and claimed[name].reason == "rounding"
    ]  # others differ for reasons of their own
    # One step of signs has the same size wherever it is computed.
    walked = max((found.walked for found in comparable), default=0)
    return walked >= PROVEN and all(f.complete and f.sized == 0 for f in comparable)
