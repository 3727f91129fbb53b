"""Recorded gradients are used only if they are those of the plain way."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base import TrainingLoss
from robench.models.build import build_model
from robench.registry import defenses
from robench.training.methods.lipschitz_margin import LipschitzMarginTraining
from robench.training.recorded import (
    CHECKS,
    WARM_UP,
    Computed,
    Gradients,
    RecordedGradients,
    can_be_recorded,
)

FIRST = WARM_UP + CHECKS + 1
"""The first step that is replayed only."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.3), nn.Flatten(), nn.Linear(8, 3)
    )


class Plain:
    """Forward and backward; counts its calls."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.calls = model, 0

    def __call__(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> Computed:
        self.calls += 1
        logits = self.model(images)
        value = loss(logits, labels)
        self.model.zero_grad()
        value.backward()
        return value.detach(), logits.detach()


class Tape:
    """Stands in for a CUDA graph, of which a CPU has none: it does the same again."""

    error = 0.0

    def __init__(
        self, plain: Gradients, model: nn.Module, images: Tensor, labels: Tensor, loss: TrainingLoss
    ) -> None:
        self.model, self.shape, self.loss = model, images.shape, loss

    def fits(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> bool:
        return images.shape == self.shape and loss == self.loss

    def replay(self, images: Tensor, labels: Tensor) -> Computed:
        value, logits = Plain(self.model)(images, labels, self.loss)
        assert images.grad is not None
        images.grad += self.error
        return value, logits


class Wrong(Tape):
    error = 1e-6


class Impossible(Tape):
    def __init__(self, *_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


class Replacing(Tape):
    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.model[1].running_mean = torch.zeros(2)  # type: ignore[index]


def batch(size: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(size, 1, 4, 4, generator=generator).requires_grad_()
    return images, torch.arange(size) % 3


def steps(kind: type[Tape], count: int) -> tuple[RecordedGradients, Plain]:
    model = network()
    plain = Plain(model)
    gradients = RecordedGradients(plain, model, kind)
    for seed in range(count):
        gradients(*batch(seed=seed), F.cross_entropy)
    return gradients, plain


def test_after_the_warm_up_and_the_checks_it_is_replayed() -> None:
    gradients, plain = steps(Tape, FIRST + 3)
    assert gradients.refused is None
    assert plain.calls == WARM_UP + CHECKS


@pytest.mark.parametrize("kind", [Tape, Wrong, Impossible, Replacing])
def test_the_figures_are_those_of_the_plain_way(kind: type[Tape]) -> None:
    results = []
    for recorded in (True, False):
        model = network()
        plain = Plain(model)
        gradients: Gradients = RecordedGradients(plain, model, kind) if recorded else plain
        torch.manual_seed(1)
        for seed in range(FIRST + 2):
            images, labels = batch(seed=seed)
            value, logits = gradients(images, labels, F.cross_entropy)
        found = [value, logits, images.grad, *(p.grad for p in model.parameters())]
        results.append([*found, *model.buffers()])
    for mine, other in zip(*results, strict=True):
        assert mine is not None
        assert other is not None
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Wrong, "gives other figures when it is replayed"),
        (Impossible, "cannot be recorded (operation not permitted when stream is capturing)"),
        (Replacing, "replaces buffers"),
    ],
)
def test_what_differs_or_cannot_be_recorded_is_refused_for_good(
    kind: type[Tape], reason: str
) -> None:
    gradients, plain = steps(kind, FIRST + 3)
    assert gradients.refused == reason
    assert plain.calls == FIRST + 3


def test_other_shapes_and_losses_take_the_plain_way() -> None:
    gradients, plain = steps(Tape, FIRST)
    before = plain.calls
    gradients(*batch(3), F.cross_entropy)
    gradients(*batch(), lambda logits, labels: logits.square().mean())
    assert plain.calls == before + 2
    gradients(*batch(), F.cross_entropy)
    assert plain.calls == before + 2


def test_losses_that_come_with_robench_are_recorded_and_others_are_not() -> None:
    for loss, plainly in (
        (LipschitzMarginTraining(1.0, 0.5).loss, WARM_UP + CHECKS),
        (lambda logits, labels: logits.square().mean(), FIRST + 3),
    ):
        model = network()
        plain = Plain(model)
        gradients = RecordedGradients(plain, model, Tape)
        for seed in range(FIRST + 3):
            gradients(*batch(seed=seed), loss)
        assert plain.calls == plainly


@pytest.mark.parametrize("name", sorted({*defenses.names()} - {"aoc", "torchlip"}))
def test_networks_with_the_defenses_that_come_with_robench_are_recorded(name: str) -> None:
    defense = defenses.build(name)
    model = build_model(
        "resnet18", num_classes=10, in_channels=1, image_size=(8, 8), width=4, stem="cifar",
        mean=(0.5,), std=(0.5,), defense=defense,
    )  # fmt: skip
    assert can_be_recorded(model, defense, torch.device("cuda"))


def test_only_cuda_and_our_own_modules_are_recorded() -> None:
    class Counting(nn.Module):
        """May do something else at each call."""

    gpu, own = torch.device("cuda"), defenses.build("convnorm")
    assert can_be_recorded(network(), own, gpu)
    assert not can_be_recorded(network(), own, torch.device("cpu"))
    assert not can_be_recorded(nn.Sequential(network(), Counting()), own, gpu)
