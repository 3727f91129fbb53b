"""The same image must get the same logits every time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, UserError, register_check
from robench.attack_tools.losses import ascent_direction, margin
from robench.checks.contract import Count
from robench.checks.determinism import ROUNDING, distance
from robench.checks.searches import best_effort, climb
from robench.checks.wording import percent
from robench.evaluation.outcomes import Bools


@register_check("same_logits")
@dataclass(frozen=True)
class SameLogits(Check):
    """Two forwards in eval mode agree; attacks on a randomized network need averaging.

    The best effort follows gradients that are averaged over forwards (expectation over
    transformation, Athalye et al. 2018), and asks for the class of the mean probability over
    forwards, clean and at the end.

    Attributes:
        tolerance: how much logits may differ, relative to their spread.
        gradients: number of gradients that are averaged in a step.
        forwards: number of forwards that are averaged in a prediction.
    """

    findings = ("same_logits",)

    tolerance: float = ROUNDING
    gradients: Count = 8
    forwards: Count = 16

    def run(self, context: CheckContext) -> Finding:
        """Compare two forwards of the same images."""
        one, two = context.answers([context.images, context.images])
        moved = distance(one, two)
        if moved <= self.tolerance:
            sentence = "Two forwards in eval mode give the same logits."
            return Finding("same_logits", True, sentence)
        changed = (one.argmax(1) != two.argmax(1)).float().mean().item()
        return Finding(
            "same_logits",
            False,
            f"Two forwards of the same images differ by {percent(moved)} of the spread of the "
            f"logits, and {percent(changed)} of the verdicts change: the network is random, and "
            f"attacks that ask once are not to be believed.",
            best_effort=best_effort(context, self._expected),
        )

    def _expected(self, context: CheckContext) -> Bools:
        """Return which averaged predictions stay right along averaged gradients, (n,) bool."""
        right = self._class(context, context.images) == context.labels
        ends: list[Tensor] = []
        try:
            climb(context, lambda x, y: self._gradient(context, x, y), right.numpy(), ends)
        except UserError:
            return right.numpy()
        images = context.images.clone()
        if ends:
            images[right] = torch.cat(ends)
        return (right & (self._class(context, images) == context.labels)).numpy()

    def _class(self, context: CheckContext, images: Tensor) -> Tensor:
        drawn = [a.softmax(1) for a in context.answers([images] * self.forwards)]
        return torch.stack(drawn).mean(0).argmax(1)

    def _gradient(self, context: CheckContext, x: Tensor, y: Tensor) -> Tensor:
        many = [
            ascent_direction(context.model, x, lambda z: margin(z, y))[0]
            for _ in range(self.gradients)
        ]
        return torch.stack(many).mean(0)
