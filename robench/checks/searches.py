"""Stronger searches, for networks whose gradients do not lead: how low is the accuracy really.

They run only where a check fails, so that its flag comes with a figure.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from robench.attack_tools.losses import ascent_direction, margin
from robench.attack_tools.randomness import generators, in_ball
from robench.attack_tools.threat_models import ascent, per_sample, steepest
from robench.checks.context import CheckContext
from robench.checks.gradient_free import left_by_gradients
from robench.checks.straight_through import StraightThrough
from robench.errors import RobenchWarning, UserError
from robench.evaluation import evaluate
from robench.evaluation.evaluate import LEFT_OUT
from robench.evaluation.outcomes import Bools
from robench.progress import ignore_progress
from robench.system.out_of_memory import is_of_machine

Gradient = Callable[[Tensor, Tensor], Tensor]
"""(images, labels) -> the direction in which a search goes, in the shape of the images."""

STEPS = 20
"""Number of steps of a search."""

AVERAGED = 4
"""Number of gradients around a point that a search averages."""

QUERIES = 1000
"""Number of queries of Square per image."""

MOST = 32
"""Largest number of images that Square is run on: 32,000 queries are half the cost of PGD-20 on
1000 images, and 4 of 32 images are more than bad luck explains."""


def left(context: CheckContext) -> Bools:
    """Return which images are right and were fooled by no attack that is known, (n,) bool."""
    return context.correct.numpy() & context.survivors


def climb(
    context: CheckContext, gradient: Gradient, attacked: Bools, ends: list[Tensor] | None = None
) -> Bools:
    """Follow directions inside the ball from a random start.

    Args:
        context: the network, and the images.
        gradient: where to go.
        attacked: (n,) bool, the images to attack.
        ends: the last iterates are appended to it, a tensor for each batch.

    Returns:
        (n,) bool, False for images of which one iterate fools the network.
    """
    robust = np.ones(len(context), dtype=np.bool_)
    rows = torch.from_numpy(attacked).nonzero().squeeze(1)
    if not len(rows):
        return robust
    images, labels = context.images[rows], context.labels[rows]
    rngs = generators(context.options.seed + 3, rows.tolist())
    start = images + in_ball(rngs, images.shape[1:], context.norm, context.eps)
    found = []
    with context.opened():
        for x, y, now in context.batches(images, labels, start.clamp(0, 1)):
            step = ascent(x, context.norm, context.eps, context.step_size)
            fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            for _ in range(STEPS):
                now = step(now, gradient(now, y).nan_to_num(), slice(None))
                fooled |= wrong(context, now, y)
            found.append(fooled.cpu())
            if ends is not None:
                ends.append(now.cpu())
    robust[rows[torch.cat(found)].numpy()] = False
    return robust


def best_effort(context: CheckContext, search: Callable[[CheckContext], Bools]) -> float | None:
    """Return the accuracy that is left by a search and everything tried before.

    The check that asks for it has failed already, which stands if the search breaks down.

    Args:
        context: the network, and the images.
        search: what returns (n,) bool, as :meth:`CheckContext.best_effort` wants it.

    Returns:
        A multiple of 1/n; None if the search raises.
    """
    try:
        return context.best_effort(search(context))
    except Exception as error:  # whatever a network raises where its gradient is asked for
        if is_of_machine(error):
            raise
        return None


def harder(context: CheckContext) -> Bools:
    """Search with substitutes of gradients, averages of them, and without any.

    Each goes on with the images that the ones before it left. An attack that cannot be made, since
    a network raises or draws random numbers, finds nothing.

    Returns:
        (n,) bool, False for images that were fooled inside the ball.
    """
    return context.once(_harder)


def square(context: CheckContext) -> tuple[Bools, Bools]:
    """Search by queries alone on the first images that gradient-based attacks left.

    Returns:
        Which images were attacked, and which were fooled, both (n,) bool.
    """
    return context.once(_square)


def of_square(context: CheckContext) -> Bools:
    """Return the images that :func:`square` is run on: the first that gradients left, (n,) bool."""
    attacked = left_by_gradients(context)
    attacked[np.flatnonzero(attacked)[MOST:]] = False
    return attacked


def averaged(context: CheckContext, x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Return the mean of the margin's gradient over points at random around ``x``."""
    total = torch.zeros_like(x)
    for _ in range(AVERAGED):
        noise = (2 * torch.rand(x.shape).to(x.device) - 1) * radius
        total += steepest(margin_gradient(context, (x + noise).clamp(0, 1), y), "l2")
    return total


def margin_gradient(context: CheckContext, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the margin of the best other class."""
    return ascent_direction(context.model, x, lambda logits: margin(logits, y))[0]


def pixel_radius(context: CheckContext, part: float) -> float:
    """Return a change of each pixel that makes this part of the ball's radius."""
    pixels = context.images[0].numel()
    return part * context.eps / (1.0 if context.norm == "linf" else pixels**0.5)


def _harder(context: CheckContext) -> Bools:
    robust = np.ones(len(context), dtype=np.bool_)
    width = pixel_radius(context, 1.0)

    def around(x: Tensor, y: Tensor) -> Tensor:
        return _uphill(context, x, y, averaged(context, x, y, pixel_radius(context, 0.5)))

    for chosen in (width, None):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                robust &= climb(context, _through(context, chosen), robust & left(context))
            break
        except Exception as error:  # whatever a network raises that is not made for substitutes
            if is_of_machine(error):
                raise
    with suppress(UserError):
        robust &= climb(context, around, robust & left(context))
    return robust & ~square(context)[1]


def _through(context: CheckContext, width: float | None) -> Gradient:
    def gradient(x: Tensor, y: Tensor) -> Tensor:
        inputs = x.clone().requires_grad_()
        with StraightThrough(width):
            logits = context.ask(inputs).float()
        with torch.enable_grad():
            return torch.autograd.grad(margin(logits, y).sum(), inputs)[0]

    return gradient


def _uphill(context: CheckContext, x: Tensor, y: Tensor, direction: Tensor) -> Tensor:
    """Return a direction, or its opposite where the margin is larger a step that way."""
    step = steepest(direction, context.norm) * context.step_size
    with torch.no_grad():
        ahead, behind = (
            margin(context.ask((x + sign * step).clamp(0, 1)).float(), y) for sign in (1, -1)
        )
    return direction * per_sample(1 - 2 * (behind > ahead).float(), direction)


def _square(context: CheckContext) -> tuple[Bools, Bools]:
    attacked = of_square(context)
    fooled = np.zeros(len(context), dtype=np.bool_)
    if attacked.any():
        rows = torch.from_numpy(attacked)
        attack = context.attack("square", queries=QUERIES)
        options = replace(context.options, progress=ignore_progress)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", f"(.*: )?{LEFT_OUT}", RobenchWarning)
            found = evaluate(
                context.model, context.images[rows], context.labels[rows], [attack], options=options
            )
        fooled[attacked] = next(iter(found.attacks.values())).fooled
    return attacked, fooled


def wrong(context: CheckContext, x: Tensor, y: Tensor) -> Tensor:
    """Return which points are in another class, (B,) bool; call it inside ``opened``."""
    with torch.no_grad():
        logits = context.ask(x).float()
    return logits.isfinite().all(1) & (logits.argmax(1) != y)
