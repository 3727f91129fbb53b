"""The adversarial images themselves: those that the evaluator judged, with the logits it judged by.

Outcomes hold no images: a board would not fit on a disk. Whoever wants to look at some attacks
again, and the evaluator hands over what it judges on the way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

from torch import Tensor, nn

from robench.base import Attack
from robench.evaluation.evaluate import Evaluation, evaluate
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What an attack made of n samples, and the verdict on it.

    Attributes:
        images: (n, C, H, W) float32 in [0, 1], on the CPU; the clean image of a sample that was
            not attacked because it is a clean mistake.
        logits: (n, classes) float32, on the CPU: those of the verdict.
    """

    images: Tensor
    logits: Tensor


def adversarial_images(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Sequence[str | Attack],
    *,
    defaults: Mapping[str, Any] | None = None,
    options: EvaluationOptions | None = None,
    **keywords: Unpack[EvaluationKeywords],
) -> tuple[Evaluation, dict[str, Evaluated]]:
    """Attack a model and keep what the evaluator judged.

    The evaluation is that of :func:`robench.evaluate` with the same arguments, which see, to the
    bit; a sample is robust under an attack exactly where these logits name its class.

    Returns:
        The evaluation, and by ``clean`` and each attack's name what was judged. An attack with
        ``samples`` of its own has only so many.
    """
    kept = _Recorder()
    evaluation = evaluate(
        model,
        images,
        labels,
        attacks,
        defaults=defaults,
        options=replace(EvaluationOptions.of(options, **keywords), observer=kept),
    )
    clean = kept.parts["clean"][0]
    judged = {"clean": Evaluated(*clean[1:])}
    for name, outcomes in evaluation.attacks.items():
        count = len(outcomes)
        mine = Evaluated(clean[1][:count].clone(), clean[2][:count].clone())
        for rows, found, logits in kept.parts.get(name, []):
            mine.images[rows], mine.logits[rows] = found, logits
        judged[name] = mine
    return evaluation, judged


@dataclass(frozen=True)
class _Recorder:
    """Keeps what an evaluation shows it."""

    parts: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = field(default_factory=dict)

    def __call__(self, name: str, rows: Tensor, images: Tensor, logits: Tensor) -> None:
        self.parts.setdefault(name, []).append((rows, images, logits))
