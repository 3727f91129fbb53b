"""FAB: the nearest point on the other side of the decision boundary (Croce and Hein 2020).

:class:`_Algorithm` has the steps of the paper's Algorithm 1,
:mod:`robench.attack_tools.hyperplanes` its projection; :class:`_Search` runs them with continuous
batching.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, ThreatModel, UserError, register_attack
from robench.attack_tools.batching import run_batched
from robench.attack_tools.boundaries import Boundary, boundary_to, nearest_boundary
from robench.attack_tools.hyperplanes import step_onto_hyperplane
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import fooled
from robench.attack_tools.randomness import on_sphere
from robench.attack_tools.sample_state import choose, contiguous, read_rows, write_rows
from robench.attack_tools.targets import likeliest_others
from robench.attack_tools.threat_models import Norm, check_counts, check_radius, norms, per_sample
from robench.attack_tools.victims import class_count

BIAS = 0.1
"""The largest share of the clean image's own step in an update, alpha_max."""

OVERSHOOT = 1.05
"""How far a step goes, for a boundary at distance 1, eta."""

BACKWARD = 0.9
"""Where a search goes on between the clean image (0) and a point that fools the model (1), beta."""

_SHORTEST = 1e-8
"""Least length of a step to divide by."""


@register_attack("fab", reference="arXiv:1907.02044")
@dataclass(frozen=True)
class FAB(Attack):
    """Fast adaptive boundary: steps onto linear approximations of the decision boundary.

    The final search of the paper's Algorithm 1 is left out, as in the authors' code.

    Attributes:
        norm: norm of the perturbation.
        eps: the radius within which an image counts, for images in [0, 1].
        steps: the number of steps of a search.
        restarts: the number of searches; the first one starts at the clean image, each other one
            at a random point near it.
        targeted: search toward target classes, one after the other, instead of the class whose
            boundary is nearest, which takes the gradients of all classes.
        targets: the number of target classes, the likeliest other classes of the clean image.
        minimal: search to the end for the smallest perturbation, of whatever size, instead of
            stopping at the first within ``eps``.

    Raises:
        UserError: if an option is out of range.
    """

    batches_itself: ClassVar[bool] = True

    norm: Norm = "linf"
    eps: float = 8 / 255
    steps: int = 100
    restarts: int = 1
    targeted: bool = False
    targets: int = 9
    minimal: bool = False

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        check_counts(self, "steps", "restarts", "targets")

    @property
    def threat_model(self) -> ThreatModel | None:
        """The ball of radius ``eps``; None with ``minimal``, which minimizes the distance."""
        return None if self.minimal else ThreatModel(self.norm, self.eps)

    @property
    def minimized_norm(self) -> str | None:
        """The norm of the perturbation, with ``minimal``; else None."""
        return self.norm if self.minimal else None

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Search for the nearest image that fools the model; where none is found, return its own.

        Raises:
            UserError: if the network has fewer than two classes.
        """
        images = images.float()
        classes = class_count(model, images)
        if classes < 2:
            raise UserError(
                f"fab needs a boundary between two classes, but the network has {classes}; use a "
                f"network with two classes or more."
            )
        return _Search(_Algorithm(self, model, images, labels, rngs), classes).run()


class _Algorithm:
    """The algorithm of the paper for the samples ``rows``; calls change only the generators."""

    def __init__(
        self,
        attack: FAB,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.attack, self.model = attack, model
        self.images, self.labels, self.rngs = images, labels, rngs

    def start(self, rows: Tensor, sizes: Tensor) -> Tensor:
        """Return random points, half as far away as the boundary is known to be, or the radius."""
        rngs, attack = [self.rngs[i] for i in rows], self.attack
        delta = on_sphere(rngs, self.images.shape[1:], attack.norm, 1.0)
        delta *= per_sample(sizes.clamp_max(attack.eps) / 2, delta)
        return (self.images[rows] + delta.to(self.images.device)).clamp(0, 1)

    def boundary(self, x: Tensor, rows: Tensor, targets: Tensor) -> Boundary:
        """Return the boundary at x to the target classes, or to the nearest class."""
        if self.attack.targeted:
            return boundary_to(self.model, x, self.labels[rows], targets)
        return nearest_boundary(self.model, x, self.labels[rows], self.attack.norm)

    def step(self, x: Tensor, boundary: Boundary, rows: Tensor) -> Tensor:
        """Return the points after a step across the boundary, from x and a little from the image.

        Args:
            x: points (B, C, H, W).
            boundary: the boundary as seen from x.
            rows: the samples.
        """
        clean, norm = self.images[contiguous(rows)], self.attack.norm
        # From the clean image, the same hyperplane is farther away or nearer.
        between = (boundary.slope * (x - clean)).flatten(1).sum(1)
        steps = step_onto_hyperplane(
            torch.cat([x, clean]),
            torch.cat([boundary.slope, boundary.slope]),
            torch.cat([-boundary.lead, between - boundary.lead]),
            norm,
        )
        own, cleans = norms(steps, norm).clamp_min(_SHORTEST).chunk(2)
        share = per_sample((own / (own + cleans)).clamp_max(BIAS), x)
        from_x, from_clean = (
            point + OVERSHOOT * step for point, step in zip((x, clean), steps.chunk(2), strict=True)
        )
        return ((1 - share) * from_x + share * from_clean).clamp_(0, 1)

    def back(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return points a little nearer to the clean images than x."""
        return torch.lerp(self.images[contiguous(rows)], x, BACKWARD)

    def sizes(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return how far x is from the clean images, (B,) on the CPU."""
        return norms(x - self.images[contiguous(rows)], self.attack.norm).cpu()

    def crossed(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return whether each float32 prediction at x is wrong, (B,) bool on the CPU."""
        return fooled(self.model, x, self.labels[rows]).cpu()


@dataclass(frozen=True, eq=False)
class _State:
    """State of each sample's search; all but the images is on the CPU.

    Attributes:
        x: the iterates.
        best: the nearest points that fool the model; clean images where there are none.
        size: how far away they are; infinite where there are none.
        search: how many searches have ended.
        taken: steps taken in the current search; -1 before its start is drawn.
        forwards: forwards made for the sample.
        backwards: gradients taken for the sample.
    """

    x: Tensor
    best: Tensor
    size: Tensor
    search: Tensor
    taken: Tensor
    forwards: Tensor
    backwards: Tensor


class _Search:
    """The bookkeeping: samples advance independently of the batch they are in.

    Args:
        algorithm: the algorithm.
        classes: the number of classes of the model.
    """

    def __init__(self, algorithm: _Algorithm, classes: int) -> None:
        self.algorithm, self.attack = algorithm, algorithm.attack
        images, count = algorithm.images, torch.zeros(len(algorithm.images), dtype=torch.int64)
        self.state = _State(
            x=images.clone(),
            best=images.clone(),
            size=torch.full((len(images),), torch.inf),
            search=count.clone(),
            taken=count - 1,
            forwards=count.clone(),
            backwards=count.clone(),
        )
        targeted = self.attack.targeted
        self.gradients = 1 if targeted else classes
        self.targets = torch.zeros(
            len(images), min(self.attack.targets, classes - 1) if targeted else 1, dtype=torch.int64
        )

    def run(self) -> Adversarial:
        """Search until every sample is finished."""
        state, model, every = self.state, self.algorithm.model, torch.arange(len(self.state.x))
        if self.attack.targeted:
            algorithm, count = self.algorithm, self.targets.shape[1]
            # An interrupted search finds the same ones again.
            self.targets = likeliest_others(model, algorithm.images, algorithm.labels, count)
            state.forwards.fill_(1)
        run_batched(model, every, self.advance, KeptSearch(model, state))
        return Adversarial(state.best, state.forwards, state.forwards, state.backwards)

    def advance(self, rows: Tensor) -> Tensor:
        """Take one step with each of the samples ``rows``; return which of them are finished."""
        self._start(rows)
        now, attack, algorithm = read_rows(self.state, rows), self.attack, self.algorithm
        targets = self.targets[rows, now.search % self.targets.shape[1]].to(now.x.device)
        x = algorithm.step(now.x, algorithm.boundary(now.x, rows, targets), rows)
        sizes = algorithm.sizes(x, rows)
        counts = (sizes < now.size) & (attack.minimal | (sizes <= attack.eps))
        crossed = algorithm.crossed(x, rows)
        found = crossed & counts
        ended = now.taken + 1 == attack.steps
        stop = found & (not attack.minimal)
        searches = attack.restarts * self.targets.shape[1]
        again = ended & ~stop & (now.search + 1 < searches)
        after = _State(
            x=choose(crossed, algorithm.back(x, rows), x),
            best=choose(found, x, now.best),
            size=torch.where(found, sizes, now.size),
            search=now.search + again.long(),
            taken=(now.taken + 1).masked_fill(again, -1),
            forwards=now.forwards + 2,
            backwards=now.backwards + self.gradients,
        )
        # Nothing above changes the state, so that the step can be repeated if memory runs out.
        write_rows(self.state, rows, after)
        return stop | (ended & ~again)

    def _start(self, rows: Tensor) -> None:
        """Place the missing starts and store them: a generator yields each only once."""
        state = self.state
        new = rows[state.taken[rows] < 0]
        later = new[state.search[new] >= self.targets.shape[1]]
        state.x[new] = self.algorithm.images[new]
        if len(later):
            state.x[later] = self.algorithm.start(later, state.size[later])
        state.taken[new] = 0
