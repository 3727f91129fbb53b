"""What a user should know about a model before its figures are believed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor, nn

from robench.attack_tools.losses import unsaturated_cross_entropy
from robench.base import Attack
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.validation import Classes, Pixels, as_samples
from robench.models.accept import plain_module
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.system.devices import device_of
from robench.system.random_state import own_random_state

FEW = 16
"""Number of images whose gradients are looked at."""

VANISHING = 1e-30
"""Largest gradient below which float32 rounds its parts to zero."""

FLAT = 1e-3
"""Spread of logits below which losses of probabilities hardly tell one image from another."""

MANY = 0.5
"""Share of the images on which a zero gradient is worth a notice."""

NOTICE = "the model's gradient is "
"""How the notices on gradients begin."""

ADVICE = (
    "check the model with robench.check_model or robench attack --checks, and use attacks without "
    "gradients, such as square"
)
"""What to do about such a model: the end of each notice."""

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)

NEAR_CHANCE = 0.2
"""Share of the way from chance to perfect below which accuracy is near chance: Cohen's kappa, of
which values up to 0.2 are called slight agreement."""


def gradient_notice(
    model: nn.Module, images: Pixels, labels: Classes, device: torch.device | str | None = None
) -> str | None:
    """Return a sentence if attacks cannot follow a model's gradients on clean images, or None.

    Args:
        model: images in [0, 1] -> logits; it is restored on exit.
        images: (N, C, H, W), of which the first few are used.
        labels: (N,).
        device: the device to run on; None: the model's own.
    """
    pixels, classes = as_samples(images[:FEW], labels[:FEW])
    model = plain_module(model)
    home = device_of(model) if device is None else torch.device(device)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        own_random_state(home),
        placed(model, home),
        frozen_stats(model),
        under_attack(model),
        torch.autocast(home.type, enabled=False),
    ):
        try:
            gradient = _gradient(model, pixels.clone().to(home), classes.clone().long().to(home))
        except Exception:  # the evaluation reports what a model raises
            return None
    return _sentence(gradient)


def logits_notice(logits: Tensor, *, defended: bool, attacks: Iterable[Attack]) -> str | None:
    """Return a sentence if figures that rest on these logits are easily misread, or None.

    Args:
        logits: (N, classes), of the clean images.
        defended: whether the model's defense is known, which may ship an adaptive attack.
        attacks: what is to be run.
    """
    finite = logits.isfinite().all(1)
    if odd := int((~finite).sum()):
        return (
            f"the logits of {odd} of {len(logits)} clean images are not finite, and count as "
            f"mistakes; return finite ones, such as log_softmax's instead of log(softmax)."
        )
    spread = float((logits.amax(1) - logits.amin(1)).median())
    if 0 < spread < FLAT:
        return (
            f"the model's logits differ by {spread:.1g} (median over images), too little for "
            f"attacks on the cross-entropy and on probabilities; multiply them by a constant, "
            f"which changes no prediction."
        )
    if not defended and (shipped := [attack for attack in attacks if attack.needs_defense]):
        return (
            f"{type(shipped[0]).__name__} is the attack that a registered defense ships against "
            f"itself; this model has none that robench knows, so its images are the clean ones."
        )
    return None


def outcome_notice(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, Attack],
    outcomes: Mapping[str, Outcomes],
) -> str | None:
    """Return a sentence if the gradient attacks of an evaluation found nothing to follow, or None.

    Gradients are looked at only if some gradient attack fooled less than half of what it attacked,
    and not within :func:`without_notices`.

    Args:
        model: images in [0, 1] -> logits, in eval mode on the device of the evaluation.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64.
        attacks: name -> attack.
        outcomes: name -> outcomes of that attack, on the first of these images.
    """
    failed = {n: o for n, o in outcomes.items() if o.backwards.any() and o.success_rate < 0.5}
    if not failed or _quiet.get():
        return None
    attacked = torch.from_numpy(np.flatnonzero(next(iter(failed.values())).correct)[:FEW])
    if notice := gradient_notice(model, images[attacked], labels[attacked]):
        return notice
    for name, found in failed.items():
        ball = attacks[name].threat_model
        if not attacks[name].moves_every_image or ball is None or not ball.eps > 0:
            continue
        if not found.linf.any():
            return (
                f"{name} changed none of the {int(found.correct.sum())} images that it attacked, "
                f"so the accuracy under it is no sign of robustness; {ADVICE}."
            )
    return None


@contextmanager
def without_notices() -> Iterator[None]:
    """Let evaluations and checks not look for notices, where something else has or will."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def notices_are_off() -> bool:
    """Return whether this is within :func:`without_notices`."""
    return _quiet.get()


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor | None:
    """Return the gradient of the attacks' loss, (B, C, H, W) on the CPU; None if there is none."""
    images.requires_grad_()
    loss = unsaturated_cross_entropy(model(images.clone()).float(), labels).sum()
    if not loss.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(loss, images, allow_unused=True)
    return None if gradient is None else gradient.cpu()


def _sentence(gradient: Tensor | None) -> str | None:
    if gradient is None:
        return (
            f"the model's logits have no gradient with respect to the images, so gradient attacks "
            f"find nothing and its accuracy under them says nothing; {ADVICE}."
        )
    count = len(gradient)
    if odd := int((~gradient.isfinite()).flatten(1).any(1).sum()):
        return (
            f"{NOTICE}NaN or infinite on {odd} of {count} clean images, so gradient attacks fail "
            f"on them and its accuracy under them is no sign of robustness; {ADVICE}."
        )
    flat = int((gradient.flatten(1).abs().amax(1) <= VANISHING).sum())
    if flat < MANY * count:
        return None
    where = f"all of {count}" if flat == count else f"{flat} of {count}"
    return (
        f"{NOTICE}zero on {where} clean images, so gradient attacks find nothing there and its "
        f"accuracy under them is no sign of robustness; {ADVICE}."
    )


def is_near_chance(accuracy: float, classes: int) -> bool:
    """Return whether an accuracy on class-balanced images is hardly better than guessing."""
    chance = 1 / max(classes, 1)
    return accuracy < chance + NEAR_CHANCE * (1 - chance)
