"""A copy stands in for a model only where logits and input gradients agree, else it is said why."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from robench.base import Adversarial, Attack, LogitsModel
from robench.errors import RobenchWarning
from robench.evaluation import copies, evaluate
from robench.evaluation.agreement import STEPS, reference
from robench.evaluation.victim import Victim
from robench.models.build import build_model
from robench.registry import defenses
from robench.system.devices import has_bf16

Digits = tuple[Tensor, Tensor]


def victim(model: nn.Module, images: Tensor, without: Sequence[str] = ()) -> Victim:
    return Victim(model.eval().requires_grad_(False), images, batch_size=64, without=without)


def resnet(defense: str, size: int, width: int) -> Victim:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("resnet18", num_classes=10, in_channels=3, image_size=(size, size),
            mean=(0.5,) * 3, std=(0.25,) * 3, width=width, defense=defense)  # fmt: skip
    return victim(model, torch.rand(8, 3, size, size, generator=Generator().manual_seed(0)))


@pytest.mark.parametrize("defense", sorted(defenses.names()))
def test_every_defense_of_the_suite_is_folded(defense: str) -> None:
    assert set(resnet(defense, 16, width=4).refused) <= {"bf16"}  # too narrow for its rounding


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm"])
def test_gradients_are_in_bf16_where_the_machine_has_it(defense: str) -> None:
    under_attack = resnet(defense, 32, width=8)
    assert not under_attack.refused
    assert under_attack.gradients == ("bf16" if has_bf16(torch.device("cpu")) else "float32")


@pytest.mark.parametrize("part", ["folded", "half_precision", "behavior_of"])
def test_a_lack_of_memory_is_no_reason_for_slower_copies(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(copies, "has_bf16", lambda device: True)
    monkeypatch.setattr(copies, part, fail)
    with pytest.raises(RuntimeError, match="could not create a primitive"):
        resnet("batchnorm", 16, width=4)


def zeroed(model: nn.Module) -> nn.Module:
    """Return a model with the logits of another and no gradient."""

    class Zeroed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return model(x.detach()) + 0 * x.sum()

    return Zeroed()


def kept_for_the_first(model: nn.Module) -> nn.Module:
    """Return a model with the logits of another, and its gradient on the clean grid only."""

    class Kept(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            off = ((x * 255).round() / 255 - x).abs().flatten(1).amax(1) > 1e-4
            return torch.where(off.unsqueeze(1), model(x.detach()), model(x))

    return Kept()


@pytest.mark.parametrize("wrong", [zeroed, kept_for_the_first])
@pytest.mark.parametrize("shortcut", ["folding", "bf16"])
def test_a_copy_with_another_gradient_is_not_used(
    digits_net: nn.Module,
    digits_test: Digits,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[nn.Module], nn.Module],
    shortcut: str,
) -> None:
    if shortcut == "bf16" and not has_bf16(torch.device("cpu")):
        pytest.skip("this machine has no bf16")
    monkeypatch.setattr(copies, {"folding": "folded", "bf16": "half_precision"}[shortcut], wrong)
    under_attack = victim(digits_net, digits_test[0])
    assert dict(under_attack.refused) == {shortcut: "its input gradients differ in the copy"}


def test_copies_are_compared_at_real_samples_and_where_an_attack_leads(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    samples = digits_test[0][:5]
    wanted = reference(digits_net, samples, num_classes=10, batch_size=4)
    points = wanted.points.split(5)
    assert torch.equal(points[0], samples)
    for before, after, step in zip(points, points[1:], STEPS, strict=False):
        assert (after - before).abs().max().item() == pytest.approx(step, rel=1e-3)
        assert after.min() >= 0
        assert after.max() <= 1
        off = (after * 255).round() / 255 - after
        assert off.abs().flatten(1).amax(1).min() > 1e-4
    labels = digits_net(samples).argmax(1)
    margins = [lead(digits_net(x), labels) for x in points]
    assert (margins[2] < margins[0]).all()


def lead(logits: Tensor, labels: Tensor) -> Tensor:
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(1)
    return logits.gather(1, labels.unsqueeze(1)).squeeze(1) - others


def test_what_is_left_out_is_said_once_with_the_reason(
    digits_net: nn.Sequential, digits_test: Digits
) -> None:
    digits_net[0].register_forward_hook(lambda layer, inputs, output: 2 * output)
    with pytest.warns(RobenchWarning, match=r"without .*folding, since layer '0' has a hook: "):
        result = evaluate(digits_net, *digits_test, ["fgsm"])
    assert result.refused["folding"] == "layer '0' has a hook"
    assert result.gradients == "float32"


def test_what_the_caller_leaves_out_is_not_said(
    digits_net: nn.Sequential, digits_test: Digits
) -> None:
    digits_net[0].register_forward_hook(lambda layer, inputs, output: 2 * output)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        result = evaluate(digits_net, *digits_test, ["fgsm"], without=["folding", "bf16"])
    assert not result.refused


@dataclass(frozen=True)
class Scribbler(Attack):
    """An attack that writes into everything it is given."""

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        images.zero_()
        labels.zero_()
        return Adversarial(images)


def test_an_attack_cannot_change_what_it_is_compared_with(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    before = [tensor.clone() for tensor in digits_test]
    result = evaluate(digits_net, *digits_test, {"zero": Scribbler()})
    outcomes = result.attacks["zero"]
    assert all(torch.equal(a, b) for a, b in zip(digits_test, before, strict=True))
    assert outcomes.linf.max() > 0.9
    with torch.no_grad():
        dark = digits_net(torch.zeros_like(digits_test[0][:1])).argmax(1).item()
    right = torch.tensor(result.clean) & (digits_test[1] == dark)
    assert outcomes.robust.tolist() == right.tolist()


@dataclass(frozen=True)
class Vandal(Attack):
    """An attack that overwrites the weights that it can reach."""

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        assert isinstance(model, nn.Module)
        for parameter in model.parameters():
            parameter.data.zero_()
        return Adversarial(images)


def test_an_attack_cannot_reach_the_weights(digits_net: nn.Module, digits_test: Digits) -> None:
    before = {name: value.clone() for name, value in digits_net.state_dict().items()}
    result = evaluate(digits_net, *digits_test, {"vandal": Vandal()})
    assert result.accuracy("vandal") == result.accuracy()
    assert all(torch.equal(value, before[name]) for name, value in digits_net.state_dict().items())


def test_a_backward_that_fails_is_named_by_a_gradient_attack_and_spares_the_others(
    digits_net: nn.Sequential, digits_test: Digits
) -> None:
    from robench.errors import UserError

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            raise RuntimeError("no such kernel")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = digits_net

        def forward(self, x: Tensor) -> Tensor:
            return self.body(Broken.apply(x))

    images, labels = digits_test[0][:20], digits_test[1][:20]
    with pytest.raises(UserError, match=r"cannot be computed .*no such kernel"):
        evaluate(Model(), images, labels, ["fgsm"])
    result = evaluate(Model(), images, labels, ["simba(max_steps=5)"])
    assert result.refused["folding"] == "its gradient cannot be computed"
