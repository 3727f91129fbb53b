"""AutoAttack (Croce and Hein 2020): an ensemble of parameter-free attacks, one after the other."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.batching import batch_size_of
from robench.attack_tools.ensembles import GRADIENT, PartModel, drawn, fooled_by
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import predict
from robench.attack_tools.threat_models import Norm, check_choices, check_counts, check_radius
from robench.attack_tools.victims import as_victim, class_count
from robench.errors import RobenchWarning
from robench.expressions import Expression
from robench.registry import attacks

TARGETS = 9
"""Number of classes that the targeted parts try, the likeliest ones, as in the authors' code."""

RESTARTS = 5
"""Number of searches of the untargeted parts of version "plus"."""

AVERAGED = 20
"""Number of gradients that are averaged at each step in version "rand"."""

_ASKED_TWICE = 16
"""Largest number of images on which a network is tried for randomness."""

_FOOLED = -1


@register_attack("autoattack", reference="arXiv:2003.01690")
@dataclass(frozen=True)
class AutoAttack(Attack):
    """AutoAttack: APGD on the cross-entropy, targeted APGD, targeted FAB and Square in sequence.

    Each part attacks only the samples that no earlier part has fooled. Its parts are robench's
    own, with the settings of the authors' code, from which this differs in what follows:

    - A sample leaves as soon as it is fooled, also in the middle of a part.
    - Square's squares shrink over its own number of queries, as its paper says, and reach every
      border of the image; in the authors' code they shrink over 10,000, of which it makes 5,000.
    - Gradients of APGD are those of the fast copy of the network, if it has one; those of FAB and
      all predictions are float32.
    - Parts whose loss needs more classes than the network has are skipped: three for the DLR loss,
      four for targeted APGD.

    Attributes:
        norm: norm of the perturbation ball.
        eps: its radius, for images in [0, 1].
        version: "standard"; "plus", which adds APGD on the DLR loss and untargeted FAB, and
            restarts the untargeted parts; or "rand" for randomized networks: APGD on the
            cross-entropy and on the DLR loss, with gradients averaged over 20 forwards.
        steps: number of steps of APGD and FAB.
        queries: query budget of Square.

    Raises:
        UserError: if an option is out of range.
    """

    batches_itself: ClassVar[bool] = True

    norm: Norm = "linf"
    eps: float = 8 / 255
    version: Literal["standard", "plus", "rand"] = "standard"
    steps: int = 100
    queries: int = 5000

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        check_counts(self, "steps", "queries")
        check_choices(self, "version")

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Run the parts, each on the samples that no earlier part has fooled.

        Raises:
            UserError: if the network has fewer than two classes, or no gradient.
        """
        images = images.float()
        classes = class_count(model, images)
        if classes < 2:
            raise UserError(
                f"the network has only {classes} class(es), so that no other class can win; "
                f"use a network with two classes or more."
            )
        state = _State.initial(images)
        draws = AVERAGED if self.version == "rand" else 1
        if self.version != "rand":
            state.forwards[:_ASKED_TWICE] = 2
            draws = AVERAGED if _answers_vary(model, images[:_ASKED_TWICE]) else 1
        search = KeptSearch(model, state)
        parts = self.parts(classes)
        costs = [_cost(part, classes) for part in parts]
        for number, part in enumerate(parts):
            left = (state.next == number).nonzero().squeeze(1)
            if not len(left):
                continue
            report = _report(model, costs, number, len(left), len(images))
            seen = PartModel(model, classes, costs[number], report)
            x, y = images[left], labels[left]
            found = part.perturb(seen, x, y, [rngs[i] for i in left])
            if draws == 1:
                lost = kept = fooled_by(seen, found.images, y)
            else:
                kept, lost = _better(seen, state.best[left], found.images, y, draws)
            state.best[left[kept]] = found.images[kept.to(images.device)]
            state.next[left] = torch.where(lost, _FOOLED, number + 1)
            assert found.forwards is not None
            assert found.backwards is not None
            state.forwards[left] += found.forwards + (1 if draws == 1 else 2 * draws)
            state.backwards[left] += found.backwards
            search.keep()
        return Adversarial(state.best, state.forwards, state.forwards, state.backwards)

    def parts(self, classes: int) -> list[Attack]:
        """Return the parts for a network with this many classes.

        If the results of one of them change, so do those of this attack.
        """
        ball = {"norm": self.norm, "eps": self.eps}
        steps = {**ball, "steps": self.steps}
        restarts = RESTARTS if self.version == "plus" else 1
        averaged = AVERAGED if self.version == "rand" else 1
        targets = min(TARGETS, classes - 1)
        apgd = {**steps, "restarts": restarts, "averaged": averaged}
        ce, dlr = ([_part("apgd", **apgd, loss=loss)] for loss in ("ce", "dlr"))
        dlr = dlr if classes > 2 else []
        if self.version == "rand":
            return [*ce, *dlr]
        targeted = [_part("apgd", **steps, loss="targeted", targets=targets)]
        targeted = targeted if classes > 3 else []
        targeted_fab = _part("fab", **steps, targeted=True, targets=targets)
        square = _part("square", **ball, queries=self.queries)
        if self.version == "standard":
            return [*ce, *targeted, targeted_fab, square]
        fab = _part("fab", **steps, restarts=restarts)
        return [*ce, *dlr, fab, square, *targeted, targeted_fab]


@dataclass(frozen=True, eq=False)
class _State:
    """What the parts so far have found.

    Attributes:
        best: the image that fooled the model; the clean image where none has. Of a network that
            draws random numbers: the one with the least margin on average.
        next: the number of the part that attacks the sample next; _FOOLED if none does.
        forwards: forwards made for the sample.
        backwards: gradients taken for the sample.
    """

    best: Tensor
    next: Tensor
    forwards: Tensor
    backwards: Tensor

    @classmethod
    def initial(cls, images: Tensor) -> "_State":
        """Return the state before the first part."""
        counts = (torch.zeros(len(images), dtype=torch.int64) for _ in range(3))
        return cls(images.clone(), *counts)


def _part(name: str, **options: object) -> Attack:
    return attacks.build(Expression(name, options))


def _better(
    model: LogitsModel, best: Tensor, found: Tensor, labels: Tensor, draws: int
) -> tuple[Tensor, Tensor]:
    """Return which images a part improved, and on which the better one fools in most draws.

    A network that draws random numbers may be right about an image that has just fooled it: by a
    single draw, the image would be thrown away.
    """
    (before, was_wrong), (after, is_wrong) = (
        drawn(model, images, labels, draws) for images in (best, found)
    )
    improved = after < before
    return improved, torch.where(improved, is_wrong, was_wrong) > 0.5


def _answers_vary(model: LogitsModel, images: Tensor) -> bool:
    """Return whether logits differ from call to call, and warn if they do; two forwards each."""
    parts = images.split(batch_size_of(as_victim(model), len(images)))
    once, again = (torch.cat([predict(model, part) for part in parts]) for _ in range(2))
    if not torch.allclose(once, again, rtol=1e-3, atol=1e-5, equal_nan=True):
        warnings.warn(
            "autoattack: the network's logits differ from call to call, so that single gradients "
            "mislead; use autoattack(version='rand').",
            RobenchWarning,
            stacklevel=3,
        )
        return True
    return False


def _report(
    model: LogitsModel, costs: Sequence[int], number: int, left: int, count: int
) -> Callable[[int], None]:
    """Return what tells how many samples are finished, given how many a part has finished.

    A sample that is not fooled yet counts as the share of the work on it that is done.

    Args:
        model: the model.
        costs: what each part costs.
        number: the part.
        left: the number of its samples.
        count: the number of all samples.
    """
    before, after = (sum(costs[:end]) / sum(costs) for end in (number, number + 1))
    report = as_victim(model).report
    return lambda finished: report(
        count - left + int(before * left + (after - before) * min(finished, left))
    )


def _cost(part: Attack, classes: int) -> int:
    """Return the most that a part does for a sample, in forwards."""
    options = vars(part)
    restarts = options["restarts"]
    if "queries" in options:
        return int(restarts * options["queries"])
    if "averaged" in options:
        targets = options["targets"] if options["loss"] == "targeted" else 1
        return int(restarts * targets * options["averaged"] * (options["steps"] + 1) * GRADIENT)
    if options["targeted"]:
        return int(restarts * options["targets"] * options["steps"] * (GRADIENT + 1))
    return int(restarts * options["steps"] * (2 + (GRADIENT - 1) * classes))
