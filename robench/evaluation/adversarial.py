"""Adversarial images as they were evaluated, with the logits of their predictions.

Outcomes hold no images: those of a whole board would not fit on a disk. To look at some of them,
run their attacks again: the evaluator passes every image that it evaluates to an observer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

from torch import Tensor, nn

from robench.base import Attack
from robench.errors import UserError
from robench.evaluation.evaluate import evaluate, named_attacks
from robench.evaluation.evaluation import Evaluation
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions
from robench.evaluation.validation import Classes, Pixels


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What an attack made of n samples, and the predictions on it.

    Attributes:
        images: (n, C, H, W) float32 in [0, 1], on the CPU; the clean image of a sample that was
            not attacked because it is a clean mistake.
        logits: (n, classes) float32, on the CPU: those of the predictions.
    """

    images: Tensor
    logits: Tensor


def adversarial_images(
    model: nn.Module,
    images: Pixels,
    labels: Classes,
    attacks: Sequence[str | Attack] | Mapping[str, Attack],
    *,
    defaults: Mapping[str, Any] | None = None,
    options: EvaluationOptions | None = None,
    **keywords: Unpack[EvaluationKeywords],
) -> tuple[Evaluation, dict[str, Evaluated]]:
    """Attack a model and keep the images and logits that were evaluated.

    The arguments are those of :func:`robench.evaluate`, and the evaluation is the same to the bit;
    a sample is robust under an attack if and only if these logits predict its class.

    Returns:
        The evaluation, and what was evaluated for ``clean`` and for each attack, by name. An
        attack that sets ``samples`` has only that many.

    Raises:
        UserError: as for :func:`robench.evaluate`; or if one of them is a certificate, which makes
            no images.
    """
    named = named_attacks(attacks, defaults or {})
    if proofs := [name for name, attack in named.items() if attack.proves]:
        raise UserError(
            f"'{proofs[0]}' is a certificate and makes no adversarial images; leave it out."
        )
    kept = _Recorder()
    evaluation = evaluate(
        model,
        images,
        labels,
        named,
        options=replace(EvaluationOptions.of(options, **keywords), observer=kept),
    )
    clean = kept.parts["clean"][0]
    evaluated = {"clean": Evaluated(*clean[1:])}
    for name, outcomes in evaluation.attacks.items():
        count = len(outcomes)
        mine = Evaluated(clean[1][:count].clone(), clean[2][:count].clone())
        for rows, found, logits in kept.parts.get(name, []):
            mine.images[rows], mine.logits[rows] = found, logits
        evaluated[name] = mine
    return evaluation, evaluated


@dataclass(frozen=True)
class _Recorder:
    """An observer that keeps everything it is called with."""

    parts: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = field(default_factory=dict)

    def __call__(self, name: str, rows: Tensor, images: Tensor, logits: Tensor) -> None:
        self.parts.setdefault(name, []).append((rows, images, logits))
