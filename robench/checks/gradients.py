"""Do the gradients that attacks follow exist, and do they lead upwards? (Athalye et al. 2018)"""

import math

import torch
from torch import Tensor

from robench.attack_tools.losses import input_gradient, log_odds, margin
from robench.attack_tools.randomness import generators, in_ball
from robench.attack_tools.threat_models import ascent
from robench.checks.context import CheckContext
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, at_most
from robench.checks.wording import chance, percent, some
from robench.errors import UserError

FEW = 0.05
"""Share of images without a gradient that is called too many: so many images at most can seem
robust for that reason alone."""

VANISHED = math.log(1e-30)
"""Log-odds of all other classes below which float32 loses the cross-entropy's gradient."""

STEPS = 10
"""Of the trajectory that is watched."""

RISE = 0.9
"""Share of trajectories that must end higher than they began."""


def gradients(context: CheckContext) -> list[Finding]:
    """Return ``finite_gradients``, ``zero_gradients`` and ``saturated_loss`` at the clean images.

    The gradient is that of the margin, which does not saturate: where it is zero there is none to
    follow, whatever the loss. Saturation is judged by the logits: the gradient of the cross-entropy
    is the margin's times the probability of the other classes, and goes with it.
    """
    names = ("finite_gradients", "zero_gradients", "saturated_loss")
    right = context.correct
    if not right.any():
        reason = "The network gets none of the images right: there is no gradient to look at."
        unknown = [Finding(name, None, reason) for name in names]
        return [_finite(context, torch.ones(0)), *unknown[1:]] if _broken(context) else unknown
    found, logits = _margin_gradients(context)
    flat = found.flatten(1)
    count = len(flat)
    zero = (flat == 0).all(1)
    labels = context.labels[right]
    vanished = log_odds(logits, labels) < VANISHED
    share = zero.float().mean().item()
    none = (
        f"On {int(zero.sum())} of {count} images ({percent(share)}) the gradient is zero or missing"
    )
    zeros = Finding(
        names[1],
        share <= FEW,
        f"{none}." if share <= FEW else f"{none}: gradient attacks see a flat network there.",
    )
    lost = vanished.float().mean().item()
    middle = (-margin(logits, labels)).median().item()
    saturated = Finding(
        names[2],
        lost <= FEW,
        f"On {int(vanished.sum())} of {count} images ({percent(lost)}) the gradient of the "
        f"cross-entropy vanishes in float32 (median margin: {middle:.3g} logits)"
        + ("." if lost <= FEW else ": an attack that climbs it stands still."),
    )
    return [_finite(context, flat), zeros, saturated]


def loss_rises(context: CheckContext) -> Finding:
    """The loss at the end of a PGD trajectory must be higher than at its start."""
    right = context.correct
    if not right.any():
        return Finding("loss_rises", None, "The network gets no image right: no loss can rise.")
    losses = _trajectory(context)
    count = losses.shape[1]
    rose = int((losses[-1] > losses[0]).sum())
    steps = (losses[1:] > losses[:-1]).float().mean().item()
    p = at_most(rose, count, RISE)
    figures = (
        f"Along {STEPS} steps of PGD the loss ends higher than it began on {rose} of "
        f"{some(count, 'image')}, and rises in {percent(steps)} of the steps"
    )
    if p < LEVEL:
        end = f"fewer than the {100 * RISE:.0f}% that are asked for ({chance(p)})"
        return Finding("loss_rises", False, f"{figures}, {end}: its gradients do not lead upwards.")
    return Finding("loss_rises", True, f"{figures}.")


def _finite(context: CheckContext, gradients: Tensor) -> Finding:
    """Judge the gradients, (images that are right, pixels), and the logits of all images."""
    name, rows = "finite_gradients", len(gradients)
    if broken := _broken(context):
        sentence = f"The logits are not finite on {broken} of {len(context)} images."
        return Finding(name, False, sentence)
    if bad := int((~gradients.isfinite()).any(1).sum()):
        sentence = (
            f"The gradient is not finite on {bad} of {rows} images: attacks break down there."
        )
        return Finding(name, False, sentence)
    return Finding(name, True, f"The gradient is finite on all {some(rows, 'image')}.")


def _broken(context: CheckContext) -> int:
    """Return on how many images the logits are not finite."""
    return int((~context.logits(context.images).isfinite()).any(1).sum())


def _margin_gradients(context: CheckContext) -> tuple[Tensor, Tensor]:
    """Return gradients and logits at the images that are right; zeros where they are cut off."""
    right = context.correct
    images, labels = context.images[right], context.labels[right]
    found = []
    with context.opened():
        for x, y in _batches(context, images, labels):
            try:
                found.append(input_gradient(context.model, x, y, "margin"))
            except UserError:
                return torch.zeros_like(images), context.logits(images)
    return torch.cat([g.cpu() for g, _ in found]), torch.cat([z.cpu() for _, z in found])


def _trajectory(context: CheckContext) -> Tensor:
    """Return the log-odds against the true class, (STEPS + 1, samples that are right).

    They rise as the cross-entropy does and do not saturate.
    """
    right = context.correct
    images, labels = context.images[right], context.labels[right]
    rngs = generators(context.seed, right.nonzero().squeeze(1).tolist())
    start = images + in_ball(rngs, images.shape[1:], context.norm, context.eps)
    columns = []
    with context.opened():
        for x, y, begin in _batches(context, images, labels, start.clamp(0, 1)):
            climb = ascent(x, context.norm, context.eps, context.step_size)
            now, losses = begin, []
            for _ in range(STEPS):
                gradient, logits = input_gradient(context.model, now, y, "ce")
                losses.append(log_odds(logits, y))
                now = climb(now, gradient, slice(None))
            with torch.no_grad():
                losses.append(log_odds(context.model(now).float(), y))
            columns.append(torch.stack(losses).cpu())
    return torch.cat(columns, 1)


def _batches(context: CheckContext, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    parts = zip(*(t.split(context.batch_size) for t in tensors), strict=True)
    return [tuple(p.to(context.device) for p in part) for part in parts]
