"""Balls in image space: norms, projections, steepest directions and radii, per sample."""

import math
from collections.abc import Callable
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import torch
from torch import Tensor
from torch.linalg import vector_norm

from robench.base import ThreatModel
from robench.errors import UserError

Norm = Literal["linf", "l2"]
"""How the size of a perturbation is measured: largest pixel change, or Euclidean length."""


def norms(delta: Tensor, norm: Norm) -> Tensor:
    """Return the norm of each sample, (B, ...) -> (B,), in the dtype of ``delta``.

    Squares are summed in float64: over the pixels of a large image, float32 would lose 1e-6.
    """
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1)
    widest = torch.float32 if delta.device.type == "mps" else torch.float64  # mps has no float64
    return vector_norm(flat, dim=1, dtype=widest).to(delta.dtype)


def project(delta: Tensor, norm: Norm, eps: float) -> Tensor:
    """Return the point of the ball of radius ``eps`` around 0 that is nearest to each sample.

    Args:
        delta: (B, ...) perturbations.
        norm: norm of the ball.
        eps: its radius, in pixel units (images in [0, 1]).
    """
    if norm == "linf":
        return delta.clamp(-eps, eps)
    lengths = norms(delta, "l2").clamp_min(1e-12)
    return delta * per_sample((eps / lengths).clamp_max(1.0), delta)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the direction of unit norm along which a linear function grows fastest.

    The sign for Linf, the normalized gradient for L2; 0 where the gradient is 0 or NaN. Where parts
    of a sample's gradient are infinite, as that of a root at 0 is, it is their direction alone.

    Args:
        gradient: (B, ...) of any scale: samples are rescaled before squares could underflow.
        norm: the norm in which the direction has length 1.
    """
    if norm == "linf":
        return gradient.sign()
    gradient = finite(gradient)
    largest = norms(gradient, "linf")
    scaled = gradient / per_sample(largest.where(largest > 0, 1.0), gradient)
    return scaled / per_sample(norms(scaled, "l2").clamp_min(1.0), gradient)


def finite(gradient: Tensor) -> Tensor:
    """Return gradients (B, ...) without NaN, which becomes 0, and infinite values.

    A sample that has infinite ones becomes their signs and 0 elsewhere: the limit of its direction.
    """
    # A sum is finite only if all is, and fast; a GPU is not waited for.
    if gradient.device.type == "cpu" and gradient.sum().isfinite():
        return gradient
    infinite = gradient.isinf()
    signs = torch.where(infinite, gradient.sign(), 0.0)
    limit = per_sample(infinite.flatten(1).any(1), gradient)
    return torch.where(limit, signs, gradient.nan_to_num(0.0))


Indices = slice | Tensor

Ascent = Callable[[Tensor, Tensor, Indices], Tensor]
"""(x, gradient, indices of the images that they belong to) -> x after one step."""


def ascent(images: Tensor, norm: Norm, eps: float, step_size: float) -> Ascent:
    """Return the step of steepest ascent, projected into the balls around images and [0, 1].

    Args:
        images: (N, ...) in [0, 1], the centers of the balls.
        norm: norm of the balls and of the step.
        eps: radius of the balls.
        step_size: length of the step, before it is projected.
    """
    if norm == "linf":  # a box: its bounds are computed once, and a step passes over memory twice
        low, high = (images - eps).clamp_(min=0), (images + eps).clamp_(max=1)
        return lambda x, gradient, at: x.add(gradient.sign(), alpha=step_size).clamp_(
            low[at], high[at]
        )

    def climb(x: Tensor, gradient: Tensor, at: slice | Tensor) -> Tensor:
        moved = steepest(gradient, norm).mul_(step_size).add_(x).sub_(images[at])
        # Clamping after the projection cannot leave the ball: it moves pixels toward the image.
        return project(moved, norm, eps).add_(images[at]).clamp_(0, 1)

    return climb


def projection(images: Tensor, norm: Norm, eps: float) -> Callable[[Tensor, Indices], Tensor]:
    """Return the function that moves points into the balls around images and into [0, 1].

    It takes points (B, ...) and the indices of the images that they belong to.

    Args:
        images: (N, ...) in [0, 1], the centers of the balls.
        norm: norm of the balls.
        eps: their radius.
    """
    if norm == "linf":
        low, high = (images - eps).clamp_(min=0), (images + eps).clamp_(max=1)
        return lambda x, at: x.clamp(low[at], high[at])
    # Clamping after the projection cannot leave the ball: it moves pixels toward the image.
    return lambda x, at: project(x - images[at], norm, eps).add_(images[at]).clamp_(0, 1)


def default_step_size(eps: float) -> float:
    """Return the step size for a radius; a fixed one would not reach the border of a large ball.

    Args:
        eps: the radius, in any norm.
    """
    return eps / 4


def check_radius(name: str, value: float, norm: Norm) -> None:
    """Check an option that is a length in image space.

    Raises:
        UserError: if the norm is unknown, a Linf length is outside [0, 1], or an L2 length is not
            positive.
    """
    if norm not in get_args(Norm):
        raise UserError(f"norm is {norm!r}: use 'linf' or 'l2'.")
    if norm == "linf" and not 0 <= value <= 1:
        hint = f"'{value:g}/255'?" if 1 < value <= 255 else "a length such as '8/255'."
        raise UserError(f"{name} is {value:g} but pixels lie in [0, 1]: write {hint}")
    if norm == "l2" and not 0 < value < math.inf:
        raise UserError(f"{name} is {value:g} but an L2 length must be above 0: write 0.5?")


def check_counts(options: object, *names: str) -> None:
    """Check options that count something, such as steps; None stands for no limit.

    Raises:
        UserError: if one of them is below 1, or not a whole number, which no search counts up to.
    """
    for name in names:
        value = getattr(options, name)
        if value is None:
            continue
        if not value >= 1:
            raise UserError(f"{name} is {value}: it must be 1 or more.")
        if isinstance(value, bool) or value != value // 1:
            raise UserError(f"{name} is {value}: it must be a whole number.")


def check_choices(options: object, *names: str) -> None:
    """Check options that are one of the words of their ``Literal``.

    Objects are built without the validation that expressions such as ``pgd(loss='ce')`` undergo.

    Raises:
        UserError: if one of them is another word; the message lists those that exist.
    """
    hints = get_type_hints(type(options))
    for name in names:
        value, valid = getattr(options, name), _words(hints[name])
        if value not in valid:
            *first, last = map(repr, valid)
            raise UserError(f"{name} is {value!r}: use {', '.join(first)} or {last}.")


def _words(hint: Any) -> list[Any]:
    """Return the values of a ``Literal``, or of a union of them and None."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [word for part in get_args(hint) for word in _words(part)] or [None]


def check_ball(what: str, ball: ThreatModel) -> None:
    """Check the radius of an attack, whoever wrote it.

    Args:
        what: the attack, as the message names it.
        ball: its threat model.

    Raises:
        UserError: if the radius is out of range; see :func:`check_radius`.
    """
    if ball.norm in get_args(Norm):
        check_radius(f"{what}: eps", ball.eps, cast(Norm, ball.norm))
    elif not 0 < ball.eps < math.inf:
        raise UserError(f"{what}: eps is {ball.eps:g}, but a radius must be above 0.")


def power_of(norm: str) -> float:
    """Return the p of an Lp norm: 2 of "l2", 0 of "l0".

    Raises:
        UserError: for the name of no norm.
    """
    try:
        p = float(norm.removeprefix("l"))
    except ValueError:
        p = math.nan
    if not p >= 0:
        raise UserError(
            f"a threat model has the norm {norm!r}; use 'linf', 'l2' or another Lp norm."
        )
    return p


def diameter(norm: str, pixels: int) -> float:
    """Return how far apart two images can be: a ball of this radius contains every image.

    Args:
        norm: "linf", "l2" or another Lp norm such as "l1"; for "l0", sizes are numbers of pixels.
        pixels: number of values of an image.
    """
    if norm == "linf":
        return 1.0
    p = power_of(norm)
    return float(pixels) if p == 0 else pixels ** (1 / p)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Return one value per sample, (B,), in a shape that broadcasts over ``like``, (B, ...)."""
    return values.to(like.device).reshape(-1, *[1] * (like.ndim - 1))
