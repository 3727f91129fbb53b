"""Orthogonal kernels: exact, by iteration, by penalty, by projection."""

import pytest
import torch
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.defenses.parseval import Parseval
from robench.defenses.soft_orthogonal import SoftOrthogonal

MAPS = ["householder", "matrix_exp", "cayley"]


def network(outputs: int = 12, groups: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, outputs, 3, padding=1, groups=groups), nn.BatchNorm2d(outputs), nn.ReLU()
    ).double()


def gram(weight: Tensor, groups: int = 1) -> Tensor:
    """Return W W^T or W^T W, the smaller of the two, for each group."""
    matrix = weight.detach().reshape(groups, len(weight) // groups, -1)
    return matrix @ matrix.mT if matrix.shape[1] <= matrix.shape[2] else matrix.mT @ matrix


def assert_orthogonal(weight: Tensor, groups: int = 1, tolerance: float = 1e-12) -> None:
    found = gram(weight, groups)
    eye = torch.eye(found.shape[-1], dtype=found.dtype).expand_as(found)
    torch.testing.assert_close(found, eye, atol=tolerance, rtol=0)


@pytest.mark.parametrize("orthogonal_map", MAPS)
@pytest.mark.parametrize(("outputs", "groups"), [(12, 1), (60, 1), (12, 2)])
def test_orthogonal_kernels_stay_so_under_weight_decay(
    orthogonal_map: str, outputs: int, groups: int
) -> None:
    arm = f"orthogonal(orthogonal_map='{orthogonal_map}')"
    model = apply_defense(network(outputs, groups), arm)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for _ in range(4):
        assert_orthogonal(model[0].weight, groups, 1e-10)  # type: ignore[index]
        optimizer.zero_grad()
        model(torch.randn(4, 4, 5, 5, dtype=torch.float64)).square().sum().backward()
        optimizer.step()


def test_it_begins_near_the_kernel_that_it_replaces() -> None:
    plain = network()
    model = apply_defense(plain, "orthogonal")
    u, _, v = torch.linalg.svd(plain[0].weight.detach().flatten(1), full_matrices=False)
    nearest = (u @ v).flatten()
    begun = model[0].weight.detach().flatten()  # type: ignore[index]
    assert torch.dot(begun, nearest) > 0.8 * nearest.square().sum()


def test_bjorck_comes_to_the_nearest_orthogonal_kernel() -> None:
    plain = network()
    model = apply_defense(plain, "bjorck(steps=40)")
    u, _, v = torch.linalg.svd(plain[0].weight.detach().flatten(1), full_matrices=False)
    found = model[0].weight.detach().flatten(1)  # type: ignore[index]
    torch.testing.assert_close(found, u @ v, atol=1e-10, rtol=0)


@pytest.mark.parametrize("groups", [1, 2])
def test_bjorck_orthogonalizes_groups_apart(groups: int) -> None:
    model = apply_defense(network(groups=groups), "bjorck(steps=40)")
    assert_orthogonal(model[0].weight, groups, 1e-10)  # type: ignore[index]


@pytest.mark.parametrize("outputs", [12, 60])
def test_parseval_retracts_singular_values_by_its_polynomial(outputs: int) -> None:
    model = network(outputs)
    before = torch.linalg.svdvals(model[0].weight.detach().flatten(1))
    Parseval(rate=0.1).after_step(model)
    after = torch.linalg.svdvals(model[0].weight.detach().flatten(1))
    torch.testing.assert_close(after, (1.1 * before - 0.1 * before**3).sort(descending=True)[0])
    for _ in range(300):
        Parseval(rate=0.1).after_step(model)
    assert_orthogonal(model[0].weight, 1, 1e-9)


def test_soft_orthogonality_is_zero_for_orthogonal_kernels_only() -> None:
    arm = SoftOrthogonal(strength=2.0)
    model = network()
    found = arm.penalty(model)
    eye = torch.eye(12, dtype=torch.float64)
    torch.testing.assert_close(found, 2 * (gram(model[0].weight)[0] - eye).square().sum())
    nn.init.orthogonal_(model[0].weight)
    assert arm.penalty(model) < 1e-20


@pytest.mark.parametrize("name", ["soft_orthogonal", "parseval"])
def test_patterns_choose_layers_and_one_that_matches_none_is_refused(name: str) -> None:
    kind = SoftOrthogonal if name == "soft_orthogonal" else Parseval
    model = nn.Sequential(network(), nn.Conv2d(12, 3, 1).double())
    before = model[1].weight.detach().clone()
    arm = kind(layers="0.*")
    arm.after_step(model)
    assert torch.equal(model[1].weight, before)
    with pytest.raises(UserError, match=r"layers = 'conv\*' matches no .* such as '0.0'"):
        kind(layers="conv*").penalty(model) or kind(layers="conv*").after_step(model)
