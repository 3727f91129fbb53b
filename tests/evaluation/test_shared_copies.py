"""Evaluations of one network share the choice of its copies as long as nothing has changed."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrizations import weight_norm

from robench.base import ThreatModel
from robench.checks import Check, Finding, check_model
from robench.checks.context import CheckContext
from robench.evaluation import evaluate, shared_copies
from robench.evaluation.shared_copies import copies_shared
from robench.models.build import build_model
from robench.registry import defenses

OF_OTHER_PACKAGES = {"aoc", "torchlip"}


@pytest.fixture
def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = weight_norm(nn.Conv2d(3, 4, 3))
        layers = (conv, nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(*layers, nn.Linear(4, 3)).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that copies were chosen of."""
    found: list[nn.Module] = []
    choose = shared_copies.choose_copies

    def counted(model: nn.Module, *arguments: Any, **options: Any) -> object:
        found.append(model)
        return choose(model, *arguments, **options)

    monkeypatch.setattr(shared_copies, "choose_copies", counted)
    return found


def attacked(model: nn.Module, images: Tensor, **options: Any) -> Tensor:
    """Return the adversarial images of a short attack."""
    seen: dict[str, Tensor] = {}

    def observe(name: str, rows: Tensor, found: Tensor, logits: Tensor) -> None:
        seen[name] = torch.cat([found.flatten(1), logits], dim=1)

    labels = torch.arange(len(images)) % 3
    evaluate(model, images, labels, ["pgd-3"], observer=observe, **options)
    return torch.cat([value.flatten() for value in seen.values()])


def test_alone_every_evaluation_chooses(
    network: nn.Module, images: Tensor, choices: list[nn.Module]
) -> None:
    for _ in range(3):
        attacked(network, images)
    assert choices == [network] * 3


def test_inside_the_context_they_choose_once_with_the_same_result_to_the_bit(
    network: nn.Module, images: Tensor, choices: list[nn.Module]
) -> None:
    alone = attacked(network, images)
    choices.clear()
    with copies_shared():
        together = [attacked(network, images) for _ in range(3)]
    assert choices == [network]
    assert all(torch.equal(each, alone) for each in together)
    attacked(network, images)
    assert len(choices) == 2


@pytest.mark.parametrize("defense", sorted(set(defenses.names()) - OF_OTHER_PACKAGES))
def test_the_networks_of_every_defense_of_the_suite_share_them(
    defense: str, choices: list[nn.Module]
) -> None:
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = build_model("resnet18", num_classes=3, in_channels=3, image_size=(16, 16),
        mean=(0.5,) * 3, std=(0.25,) * 3, width=4, defense=defense).eval()  # fmt: skip
    alone = attacked(model, images)
    choices.clear()
    with copies_shared():
        together = [attacked(model, images) for _ in range(2)]
    assert len(choices) == 1
    assert all(torch.equal(each, alone) for each in together)


def test_other_images_batches_or_shortcuts_have_copies_of_their_own(
    network: nn.Module, images: Tensor, choices: list[nn.Module]
) -> None:
    with copies_shared():
        attacked(network, images)
        attacked(network, images.flip(0))
        attacked(network, images, batch_size=4)
        attacked(network, images, without=["folding"])
    assert len(choices) == 4


def test_the_network_and_the_one_beside_it_are_kept(
    network: nn.Module, images: Tensor, choices: list[nn.Module]
) -> None:
    other = copy.deepcopy(network)
    with copies_shared():
        for _ in range(3):
            attacked(network, images)
            attacked(other, images)
    assert choices == [network, other]


def test_after_a_step_of_training_they_are_chosen_again(
    network: nn.Sequential, images: Tensor, choices: list[nn.Module]
) -> None:
    with copies_shared():
        attacked(network, images)
        with torch.no_grad():
            network[-1].weight.mul_(-1)
        shared = attacked(network, images)
    assert len(choices) == 2
    assert torch.equal(shared, attacked(network, images))


class Tired(nn.Module):
    """Answers something else after a number of calls without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, features: Tensor) -> Tensor:
        self.calls += not features.requires_grad
        return -features if self.calls > 30 else features


class Mirrored(nn.ReLU):
    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        return -super().forward(features)


def hooked(model: nn.Sequential) -> nn.Sequential:
    model[0].register_forward_hook(lambda layer, given, output: -output)
    return model


def traced(model: nn.Sequential) -> nn.Module:
    return fx.symbolic_trace(nn.Sequential(model, Mirrored()))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: nn.Sequential(model, Tired()),
        lambda model: nn.Sequential(model, Mirrored()),
        hooked,
        traced,
    ],
    ids=["state", "subclass", "hook", "traced"],
)
def test_of_a_network_with_anybody_else_s_code_they_are_chosen_for_each_evaluation(
    network: nn.Sequential,
    images: Tensor,
    choices: list[nn.Module],
    change: Callable[[nn.Sequential], nn.Module],
) -> None:
    model = change(network).eval()
    alone = attacked(model, images)
    choices.clear()
    with copies_shared():
        together = [attacked(model, images) for _ in range(3)]
    assert choices == [model] * 3
    assert all(torch.equal(each, alone) for each in together)


@dataclass(frozen=True)
class Changing(Check):
    """A check of a plugin that changes the network meanwhile."""

    findings = ("changed",)

    def run(self, context: CheckContext) -> Iterator[Finding]:  # type: ignore[override]
        norm, eps = context.model[1], context.model[1].eps
        norm.eps = 1e6
        right = float(context.run(context.standard(steps=3))[0].robust.mean())
        norm.eps = eps
        yield Finding("changed", True, str(right))


def test_a_check_of_a_plugin_may_change_the_network_and_attack_it(
    network: nn.Sequential, images: Tensor, choices: list[nn.Module]
) -> None:
    labels = network(images).argmax(1)
    ball = ThreatModel("linf", 0.3)
    together = check_model(network, images, labels, ball, checks=["more_steps", Changing()])
    assert choices == [network] * 2
    alone = check_model(network, images, labels, ball, checks=[Changing()])
    assert together.findings[-1] == alone.findings[-1]
