"""Target classes: the likeliest, and in the order of their distances."""

import pytest
import torch
from torch import Tensor, nn

from robench.attack_tools.targets import likeliest_others, nearest_first
from robench.attack_tools.threat_models import Norm
from robench.attack_tools.victims import BareModel


@pytest.fixture
def linear() -> nn.Module:
    """A linear network of ten classes, whose rows differ in length."""
    layer = nn.Linear(48, 10)
    with torch.no_grad():
        layer.weight *= torch.linspace(0.2, 3, 10)[:, None]
    return nn.Sequential(nn.Flatten(), layer).eval()


def exact_distances(linear: nn.Module, images: Tensor, labels: Tensor, norm: Norm) -> Tensor:
    """Return how far the boundary to each class is, (N, 10), infinite to the true one; float64."""
    layer = linear[1]  # type: ignore[index]
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    logits = images.double().flatten(1) @ weight.T + bias
    leads = logits.gather(1, labels[:, None]) - logits
    normals = weight[labels][:, None] - weight[None]
    away = leads / normals.norm(p=2 if norm == "l2" else 1, dim=2)
    return away.scatter(1, labels[:, None], torch.inf)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_network_the_order_is_that_of_the_exact_distances(
    linear: nn.Module, norm: Norm
) -> None:
    images = torch.rand(50, 3, 4, 4)
    labels = linear(images).argmax(1)
    likeliest = likeliest_others(linear, images, labels, 9)
    nearest = nearest_first(linear, images, labels, likeliest, norm)
    wanted = exact_distances(linear, images, labels, norm).argsort(1)[:, :9]
    assert torch.equal(nearest, wanted)
    assert not torch.equal(nearest, likeliest)
    assert torch.equal(nearest.sort(1).values, likeliest.sort(1).values)


def test_only_the_candidates_are_looked_at(linear: nn.Module) -> None:
    images = torch.rand(20, 3, 4, 4)
    labels = linear(images).argmax(1)
    few = likeliest_others(linear, images, labels, 3)
    nearest = nearest_first(linear, images, labels, few, "linf")
    assert torch.equal(nearest.sort(1).values, few.sort(1).values)


def test_the_likeliest_are_those_of_the_largest_logits(linear: nn.Module) -> None:
    images, labels = torch.rand(20, 3, 4, 4), torch.arange(20) % 10
    order = linear(images).scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)
    assert torch.equal(likeliest_others(linear, images, labels, 4), order[:, :4])


def test_the_order_does_not_depend_on_the_batch(linear: nn.Module) -> None:
    images, batches = torch.rand(20, 3, 4, 4), BareModel(linear)
    labels = linear(images).argmax(1)
    candidates = likeliest_others(linear, images, labels, 9)
    whole = nearest_first(linear, images, labels, candidates, "l2")
    batches.batch_size = 7
    assert torch.equal(nearest_first(batches, images, labels, candidates, "l2"), whole)


def test_a_class_that_no_gradient_leads_to_comes_last() -> None:
    model = _Deaf(nn.Linear(12, 4))
    images = torch.rand(10, 3, 2, 2)
    labels = torch.zeros(10, dtype=torch.int64)
    candidates = torch.tensor([[3, 1, 2]]).expand(10, 3)
    assert (nearest_first(model, images, labels, candidates, "linf")[:, -1] == 3).all()


class _Deaf(nn.Module):
    """A network whose logits 0 and 3 are constant."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: Tensor) -> Tensor:
        logits = self.layer(images.flatten(1))
        constant = torch.tensor([2.0, 0.0, 0.0, 1.9])
        return torch.where(constant > 0, constant, logits)
