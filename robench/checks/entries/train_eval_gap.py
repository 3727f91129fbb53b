"""Compare batch statistics with running statistics.

A network whose running statistics are not those of its data is, in eval mode, not the network that
was trained: its row then shows an effect of broken statistics rather than of the defense, either
weakness or, if activations have shrunk, a robustness that vanishes as soon as the statistics are
repaired. The two need not agree exactly (free training accumulates them on perturbed images, and a
batch is small), so the check fails only for a large gap, in either direction, that chance does not
explain (exact sign test at 1%).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count, Share
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, percent


@register_check("train_eval_gap")
@dataclass(frozen=True)
class TrainEvalGap(Check):
    """Clean accuracy is about the same with running statistics and with batch statistics.

    Only modules with buffers are put in training mode, so that Dropout stays off.

    Attributes:
        gap: difference of the two accuracies above which the check may fail.
        images: smallest batch whose statistics are meaningful.
    """

    findings = ("train_eval_gap",)

    gap: Share = 0.2
    images: Count = 32

    def run(self, context: CheckContext) -> Finding:
        """Compare clean accuracy in eval mode and with batch statistics."""
        name = "train_eval_gap"
        keeping = [
            m for m in context.model.modules() if any(b is not None for b in m._buffers.values())
        ]
        if not keeping:
            return Finding(name, True, "The network keeps no statistics that could differ.")
        if len(context) < self.images:
            sentence = f"A batch of {len(context)} images is too small to take statistics of it."
            return Finding(name, None, sentence)
        running, batch = context.correct, self._right_by_batch(context, keeping)
        gap = abs(running.float().mean().item() - batch.float().mean().item())
        one, other = int((running & ~batch).sum()), int((~running & batch).sum())
        p = min(1.0, 2 * at_least(max(one, other), one + other, 0.5))
        figures = (
            f"With running statistics {percent(running.float().mean().item())} of {len(context)} "
            f"clean images are right, with those of the batch "
            f"{percent(batch.float().mean().item())}"
        )
        if gap > self.gap and p < LEVEL:
            end = (
                f"{100 * gap:.0f} points apart ({chance(p)}): "
                f"its statistics are not those of the data"
            )
            return Finding(name, False, f"{figures}, {end}.")
        return Finding(name, True, f"{figures}.")

    def _right_by_batch(self, context: CheckContext, keeping: list[nn.Module]) -> Tensor:
        # No batch is smaller than self.images.
        parts = max(1, len(context) // max(context.options.batch_size, self.images))
        predictions = []
        with context.opened(), torch.no_grad():
            for module in keeping:
                module.training = True
            for images in context.images.chunk(parts):
                predictions.append(context.ask(images.to(context.device)).argmax(1).cpu())
        return torch.cat(predictions) == context.labels
