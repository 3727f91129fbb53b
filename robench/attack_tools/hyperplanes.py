"""The shortest step from a point of the box [0, 1] to a hyperplane, without leaving the box.

A linear function grows fastest, per length of a step, if each pixel moves at a speed of its own:
all at the same one in Linf, in proportion to the normal in L2. A pixel that reaches 0 or 1 stays
there, and the others go on (Croce and Hein 2020, Section 2.2). What is left to find is for how
long: how far the function has grown by then is concave in time and piecewise linear, so that
Newton's method comes to the exact time from below, usually in a few iterations.
"""

import torch
from torch import Tensor

from robench.attack_tools.threat_models import Norm, norms

_ENOUGH = 1e-6
"""Share of the distance that may be missing at the end: the rounding of float32."""

_MOST = 100
"""Most iterations; one settles at least one pixel, and usually most of them."""

_FOREVER = 1e30
"""A time after which every pixel that moves at all has reached 0 or 1."""


def step_onto_hyperplane(points: Tensor, normals: Tensor, gaps: Tensor, norm: Norm) -> Tensor:
    """Return the shortest steps with ``normal @ step == gap`` from points to points in the box.

    Where the box does not reach so far, the step goes as far as it can; where the normal is zero
    or not finite, it is zero.

    Args:
        points: (B, ...) in [0, 1].
        normals: (B, ...), of any scale.
        gaps: (B,), by how much a linear function of gradient ``normals`` has to change.
        norm: the norm in which the steps are shortest.
    """
    flat, normal = points.flatten(1), normals.flatten(1).nan_to_num(0, 0, 0)
    largest = norms(normal, "linf")
    scale = largest.where(largest > 0, 1.0)
    weights = normal / scale.unsqueeze(1)
    distances = (gaps / scale).nan_to_num(0, _FOREVER, -_FOREVER)
    directions = weights.sign() * distances.sign().unsqueeze(1)
    room = torch.where(directions > 0, 1 - flat, flat)
    time = _time(weights.abs(), room, distances.abs(), norm)
    return (directions * _moved(weights.abs(), room, time, norm)).view_as(points)


def _moved(weights: Tensor, room: Tensor, time: Tensor, norm: Norm) -> Tensor:
    """Return how far each pixel has moved after these times, (B, pixels)."""
    speed = weights if norm == "l2" else 1.0
    return torch.minimum(time.unsqueeze(1) * speed, room)


def _time(weights: Tensor, room: Tensor, distances: Tensor, norm: Norm) -> Tensor:
    """Return the times after which the function has grown by the distances, (B,)."""
    time = torch.zeros_like(distances)
    left = torch.arange(len(time), device=time.device)
    for _ in range(_MOST):
        moved = _moved(weights, room, time[left], norm)
        missing = distances[left] - (weights * moved).sum(1)
        rates = weights * weights if norm == "l2" else weights
        rate = (rates * (moved < room)).sum(1)
        going = (missing > _ENOUGH * distances[left]) & (rate > 0)
        left, missing, rate = left[going], missing[going], rate[going]
        if not len(left):
            break
        time[left] = (time[left] + missing / rate).clamp_max(_FOREVER)
        if not going.all():
            weights, room = weights[going], room[going]
    return time
