"""A network's answer must not depend on what it was asked before.

A network that remembers queries gives near-duplicates of an image the class of the first of them,
so that an adversarial image found by a search is never answered as it would be alone. An attacker
sends the one image. Copies of the network, made before it is asked anything, show both: a pair of
close images in two classes is asked in one order on one copy and in the other order on another.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count
from robench.checks.determinism import ROUNDING, distance
from robench.checks.searches import best_effort, climb, left, margin_gradient
from robench.checks.wording import percent, some
from robench.evaluation.examination import kept_state
from robench.evaluation.outcomes import Bools
from robench.models.outside_state import outside_restored
from robench.models.plain_state import independent_copy

OFTEN = 4
"""Number of images that are asked for again and again."""

MORE = 20
"""How many times more often they are asked for if the network visibly keeps a state."""


@register_check("stateful")
@dataclass(frozen=True)
class Stateful(Check):
    """Copies of the network that were asked other things before give an image the same logits.

    Attributes:
        calls: how often a few images are asked for, as in an attack.
        pairs: number of pairs of close images; each lies between two images of different classes.
        halvings: how often the way between two images is halved to find a close pair.
        tolerance: how much logits may differ, relative to their spread.
    """

    findings = ("stateful",)

    calls: Count = 50
    pairs: Count = 16
    halvings: Count = 8
    tolerance: float = 1e-3

    def run(self, context: CheckContext) -> Finding:
        """Ask copies of the network in different orders."""
        name = "stateful"
        try:
            fresh = independent_copy(context.model)
        except Exception as error:  # whatever a module keeps that cannot be copied
            reason = str(error).split("\n", 1)[0][:200]
            sentence = f"The network cannot be copied ({type(error).__name__}: {reason})."
            return Finding(name, None, sentence)
        few = context.images[: 2 * self.pairs]
        one, other = _asked(context, fresh, [few])[0], _asked(context, fresh, [few])[0]
        if distance(one, other) > ROUNDING:
            sentence = "Two copies of the network differ: it is random, beyond torch's seed."
            return Finding(name, None, sentence)
        kept = _kept(context, fresh, few[:OFTEN])
        calls = self.calls * (MORE if kept else 1)
        again = _asked(context, fresh, [few[:OFTEN]] * calls)
        apart = [distance(again[0], answer) > self.tolerance for answer in again]
        if any(apart):
            moved = distance(again[0], again[apart.index(True)])
            sentence = (
                f"Asked {apart.index(True) + 1} times, the same images get logits that differ by "
                f"{percent(moved)} of their spread: the network keeps a state, and its answers "
                f"depend on how often it was asked."
            )
            effort = best_effort(context, lambda c: self._replayed(c, fresh))
            return Finding(name, False, sentence, best_effort=effort)
        first, second = self._close_pairs(context, fresh)
        if not len(first):
            sentence = "No two close images in different classes were found."
            return Finding(name, None, sentence)
        alone = _asked(context, fresh, [second])[0]
        after = _asked(context, fresh, [first, second])[1]
        changed = int((alone.argmax(1) != after.argmax(1)).sum())
        if (moved := distance(alone, after)) <= self.tolerance:
            sentence = (
                f"After {some(len(first), 'other query', 'other queries')} images get "
                f"the logits that they get on a copy that was asked nothing before."
            )
            later = f" But each call changes {kept}, and {calls} calls cannot show what it is for."
            return Finding(name, None if kept else True, f"{sentence}{later if kept else ''}")
        sentence = (
            f"Asked after an image close to them, {changed} of {some(len(first), 'image')} get "
            f"another class than on a copy that was asked nothing before, and their logits differ "
            f"by {percent(moved)} of their spread: the network remembers what it was asked."
        )
        effort = best_effort(context, lambda c: self._replayed(c, fresh))
        return Finding(name, False, sentence, best_effort=effort)

    def _close_pairs(self, context: CheckContext, fresh: torch.nn.Module) -> tuple[Tensor, Tensor]:
        """Return pairs of points on the way between two images, in different classes.

        The way is halved on a new copy at each step, which has no memory of the steps before. Pairs
        are apart by the images' distance over 2 to the power of ``halvings``.
        """
        few = context.images[: self.pairs]
        ends = [few, few.flip(0)]
        classes = [_asked(context, fresh, [e])[0].argmax(1) for e in ends]
        if (classes[0] == classes[1]).all():  # as with two classes, if images are sorted by class
            other = (classes[0].unsqueeze(1) != classes[0]).int().argmax(1)  # the first, or any
            ends[1], classes[1] = few[other], classes[0][other]
        differ = classes[0] != classes[1]
        low, high, start = ends[0][differ], ends[1][differ], classes[0][differ]
        for _ in range(self.halvings if len(low) else 0):
            middle = (low + high) / 2
            before = _asked(context, fresh, [middle])[0].argmax(1) == start
            keep = before[:, None, None, None]
            low, high = torch.where(keep, middle, low), torch.where(keep, high, middle)
        return low, high

    def _replayed(self, context: CheckContext, fresh: torch.nn.Module) -> Bools:
        """Search on one copy, image by image; ask another one about what the search ended at."""
        searched = replace(context, model=independent_copy(fresh), memo={}, own=[])
        ends: list[Tensor] = []

        def gradient(x: Tensor, y: Tensor) -> Tensor:
            """Forget what was asked before: each step is taken on a new copy."""
            searched.model = independent_copy(fresh)
            with searched.opened(), outside_restored(fresh):
                return margin_gradient(searched, x, y)

        attacked = left(context)
        robust = np.ones(len(context), dtype=np.bool_)
        try:
            climb(searched, gradient, attacked, ends)
        except Exception:  # a network without gradients: nothing was found
            return robust
        rows = torch.from_numpy(attacked).nonzero().squeeze(1)
        if len(rows):
            answers = _asked(context, fresh, [torch.cat(ends)])[0].argmax(1)
            robust[rows[answers != context.labels[rows]].numpy()] = False
        return robust


def _kept(context: CheckContext, fresh: torch.nn.Module, images: Tensor) -> str | None:
    """Return what a call changes beside its result, or None."""
    asked = replace(context, model=independent_copy(fresh), memo={})
    with asked.opened(), outside_restored(fresh):
        model, given = asked.model, images.to(asked.device)
        kept_state(model, given)  # the first call may build something for good
        return kept_state(model, given)


def _asked(context: CheckContext, fresh: torch.nn.Module, batches: list[Tensor]) -> list[Tensor]:
    """Return the logits of batches, asked one after another on a new copy of the network.

    Torch's seed is the same before each batch, so that random numbers of a network are, too.
    """
    asked = replace(context, model=independent_copy(fresh), memo={})
    with outside_restored(fresh):  # copies share it
        return asked.answers(batches, seed=context.options.seed)
