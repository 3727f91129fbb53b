"""Any callable can be attacked; what claims to be a model under attack has all of its methods."""

import pytest
import torch
from torch import Tensor, nn

from robench.attack_tools.losses import input_gradient, predict
from robench.attack_tools.victims import BareModel, as_victim, class_count
from robench.base import VictimModel


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def test_a_bare_callable_computes_everything_itself() -> None:
    model, images = net(), torch.rand(5, 3, 2, 2)
    victim = as_victim(model)
    wanted = model(images)
    assert victim.batch_size is None
    assert torch.equal(victim(images), wanted)
    assert torch.equal(victim.for_gradients(images), wanted)
    assert torch.equal(victim.predict(images), wanted)
    assert not victim.predict(images).requires_grad
    assert class_count(model, images) == 3


def test_a_model_under_attack_is_returned_unchanged() -> None:
    victim = BareModel(net())
    assert as_victim(victim) is victim


def test_the_tools_call_the_intended_method_of_a_model_under_attack() -> None:
    class Recording(BareModel):
        called: list[str]

        def predict(self, images: Tensor) -> Tensor:
            self.called.append("predict")
            return super().predict(images)

        def for_gradients(self, images: Tensor) -> Tensor:
            self.called.append("for_gradients")
            return super().for_gradients(images)

    victim, images = Recording(net()), torch.rand(2, 3, 2, 2)
    victim.called = []
    predict(victim, images)
    input_gradient(victim, images, torch.tensor([0, 1]), "ce")
    assert victim.called == ["predict", "for_gradients"]


def test_a_misspelled_method_fails_and_does_not_fall_back_to_the_slow_way() -> None:
    class Misspelled(VictimModel):
        num_classes = 3

        def __call__(self, images: Tensor) -> Tensor:
            return images.flatten(1)

        def predict(self, images: Tensor) -> Tensor:
            return self(images)

        def for_gradient(self, images: Tensor) -> Tensor:
            return self(images)

        def report(self, finished: int) -> None: ...

    with pytest.raises(TypeError, match="for_gradients"):
        Misspelled()  # type: ignore[abstract]
