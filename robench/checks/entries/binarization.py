"""The binarization test (Zimmermann, Brendel, Tramèr, Carlini 2022, "Increasing Confidence in
Adversarial Robustness Evaluations").

For each image the last layer is replaced by a linear layer with two classes, fitted so that a
point on the surface of the ball is in one class, and the image and random points inside the ball
are in the other. An adversarial image then exists by construction; an attack that does not find one
cannot be trusted not to have missed others on the network itself.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Generator, Tensor, nn

from robench import Check, CheckContext, Finding, register_check
from robench.attack_tools.randomness import generators, in_ball, normal, uniform
from robench.attack_tools.threat_models import norms, per_sample
from robench.checks.contract import Count, Share
from robench.checks.significance import LEVEL, at_most
from robench.checks.wording import chance, percent, some


@register_check("binarization", reference="arXiv:2206.13991")
@dataclass(frozen=True)
class Binarization(Check):
    """An attack finds adversarial images that are known to exist; fits one layer per image.

    Attributes:
        images: number of images that the test is made on.
        inner_points: random points inside the ball per fitted layer; more make the test harder.
        inner_radius: radius of these points, in units of the ball's radius.
        needed: fraction of the fitted networks that a sound attack fools, as in the paper.
        tries: number of random points in the ball, which must not do as well.
    """

    findings = ("binarization",)
    by_default = False

    images: Count = 32
    inner_points: Count = 127
    inner_radius: Share = 0.95
    needed: Share = 0.95
    tries: Count = 200

    def run(self, context: CheckContext) -> Finding:
        """Attack networks in which an adversarial image is known to exist."""
        last = _last_linear(context)
        if last is None:
            sentence = "The network does not end in a linear layer that could be exchanged."
            return Finding("binarization", None, sentence)
        found, lucky, fitted = self._attack_planted(context, last)
        if not fitted:
            sentence = "No linear layer tells points inside of the ball from points on its surface."
            return Finding("binarization", None, sentence)
        figures = (
            f"PGD with 20 steps fools {found} of {some(fitted, 'network')} in which an adversarial "
            f"image was planted ({self.tries} random points fool {lucky})"
        )
        if (p := at_most(found, fitted, self.needed)) < LEVEL:
            end = f"fewer than the {percent(self.needed)} of a sound attack ({chance(p)})"
            return Finding("binarization", False, f"{figures}, {end}.")
        if lucky > fitted / 2:
            return Finding("binarization", None, f"{figures}: it is too easy here to say anything.")
        return Finding("binarization", True, f"{figures}.")

    def _attack_planted(self, context: CheckContext, last: nn.Linear) -> tuple[int, int, int]:
        """Count the networks that the attack fools, that noise fools, and that could be fitted."""
        found = lucky = fitted = 0
        right = context.correct.nonzero().squeeze(1)[: self.images]
        with context.opened():
            features = _Features(context.model, last)
            for row in right.tolist():
                rng = generators(context.options.seed + 1, [row])[0]
                image = context.images[row : row + 1].to(context.device)
                head = self._head(features, context, image, rng)
                if head is None:
                    continue
                fitted += 1
                network = _Binary(features, *head)
                zero = torch.zeros(1, dtype=torch.int64, device=context.device)
                adversarial = context.standard().perturb(network, image, zero, [rng]).images
                with torch.no_grad():
                    found += int(network(adversarial).argmax(1).item())
                    noisy = _inside(context, image, rng, self.tries)
                    lucky += int(network(noisy).argmax(1).any())
        return found, lucky, fitted

    @torch.no_grad()
    def _head(
        self, features: "_Features", context: CheckContext, image: Tensor, rng: Generator
    ) -> tuple[Tensor, Tensor] | None:
        """Fit the layer; return None if the two kinds of points cannot be separated.

        The threshold is halfway between the planted point and the inner point nearest to it, and
        the scores are scaled so that these two are at 1 and -1.
        """
        noisy = _inside(context, image, rng, self.inner_points, self.inner_radius)
        inner = torch.cat([image, noisy])
        planted = _on_surface(context, image, rng)
        values = torch.cat([_split(features, inner, context), features(planted)]).double().cpu()
        center, scale = values.mean(0), values.std(0).clamp_min(1e-8)
        standard = ((values - center) / scale).numpy()
        classes = np.r_[np.zeros(len(inner)), 1]
        regression = LogisticRegression(C=1e4, class_weight="balanced", max_iter=2000)
        fit = regression.fit(standard, classes)
        weight = torch.from_numpy(fit.coef_[0]) / scale
        scores = (values - center) @ weight
        nearest, reached = scores[:-1].max(), scores[-1]
        if not reached > nearest:
            return None
        stretch = 2 / (reached - nearest)
        bias = -stretch * (center @ weight + (reached + nearest) / 2)
        device = context.device
        return (stretch * weight).float().to(device), bias.float().to(device)


class _Features(nn.Module):
    """The input of the last linear layer."""

    def __init__(self, model: nn.Module, last: nn.Linear) -> None:
        super().__init__()
        self.model, self.last = model, last

    def forward(self, images: Tensor) -> Tensor:
        caught: list[Tensor] = []
        hook = self.last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            self.model(images.clone())  # which it may write into
        finally:
            hook.remove()
        return caught[-1].float()


class _Binary(nn.Module):
    """Two logits: 0, and a linear function of the features."""

    def __init__(self, features: _Features, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.features, self.weight, self.bias = features, weight, bias

    def forward(self, images: Tensor) -> Tensor:
        score = self.features(images) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)


def _last_linear(context: CheckContext) -> nn.Linear | None:
    """Return the linear layer whose output is the logits; None if there is no such layer."""
    seen: list[tuple[nn.Linear, Tensor]] = []
    linear = [m for m in context.model.modules() if isinstance(m, nn.Linear)]
    with context.opened(), torch.no_grad():
        hooks = [m.register_forward_hook(lambda m, _, out: seen.append((m, out))) for m in linear]
        try:
            logits = context.ask(context.images[:2].to(context.device))
        finally:
            for hook in hooks:
                hook.remove()
    if not seen or seen[-1][1].shape != logits.shape:
        return None
    return seen[-1][0] if torch.allclose(seen[-1][1], logits) else None


def _split(features: _Features, images: Tensor, context: CheckContext) -> Tensor:
    return torch.cat([features(part) for part in images.split(context.options.batch_size)])


def _inside(
    context: CheckContext, image: Tensor, rng: Generator, count: int, part: float = 1.0
) -> Tensor:
    points = in_ball([rng] * count, image.shape[1:], context.norm, part * context.eps)
    return (image + points.to(image.device)).clamp(0, 1)


def _on_surface(context: CheckContext, image: Tensor, rng: Generator) -> Tensor:
    """Return a random corner of the Linf ball or a random point on the L2 sphere."""
    if context.norm == "linf":
        delta = (uniform([rng], image.shape[1:]) < 0.5).float().mul(2).sub(1) * context.eps
    else:
        delta = normal([rng], image.shape[1:])
        delta = delta * per_sample(context.eps / norms(delta, "l2"), delta)
    return (image + delta.to(image.device)).clamp(0, 1)
