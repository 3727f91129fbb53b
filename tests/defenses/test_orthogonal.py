"""Orthogonal kernels: exact, by iteration, by penalty, by projection."""

import pytest
import torch
from support import dense
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
    defense = f"orthogonal(orthogonal_map='{orthogonal_map}')"
    model = apply_defense(network(outputs, groups), defense)
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


def test_bjorck_converges_to_the_nearest_orthogonal_kernel() -> None:
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
    defense = SoftOrthogonal(strength=2.0)
    model = network()
    found = defense.penalty(model)
    eye = torch.eye(12, dtype=torch.float64)
    torch.testing.assert_close(found, 2 * (gram(model[0].weight)[0] - eye).square().sum())
    nn.init.orthogonal_(model[0].weight)
    assert defense.penalty(model) < 1e-20


@pytest.mark.parametrize("name", ["soft_orthogonal", "parseval"])
def test_patterns_choose_layers_and_one_that_matches_none_is_refused(name: str) -> None:
    kind = SoftOrthogonal if name == "soft_orthogonal" else Parseval
    model = nn.Sequential(network(), nn.Conv2d(12, 3, 1).double())
    before = model[1].weight.detach().clone()
    defense = kind(layers="0.*")
    defense.after_step(model)
    assert torch.equal(model[1].weight, before)
    with pytest.raises(UserError, match=r"layers = 'conv\*' matches no .* such as '0.0'"):
        kind(layers="conv*").penalty(model) or kind(layers="conv*").after_step(model)


@pytest.mark.parametrize("defense", ["bjorck", "bjorck(steps=1)", "orthogonal"])
@pytest.mark.parametrize("outputs", [12, 60])
def test_no_number_of_steps_makes_a_kernel_s_matrix_longer_than_one(
    defense: str, outputs: int
) -> None:
    model = apply_defense(network(outputs), defense)
    with torch.no_grad():
        for parameter in model[0].parameters():  # type: ignore[index]
            parameter.mul_(30)
    matrix = model[0].weight.detach().flatten(1)  # type: ignore[index]
    assert torch.linalg.matrix_norm(matrix, ord=2) <= 1 + 1e-10


def test_bjorck_trains_from_the_weight_that_was_there_and_its_scale_does_not_matter() -> None:
    plain = network()
    model = apply_defense(plain, "bjorck(steps=3)")
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    before = model(x)
    with torch.no_grad():
        for name, parameter in model[0].named_parameters():  # type: ignore[index]
            if "original" in name:
                assert torch.equal(parameter, plain[0].weight)
                parameter.mul_(100)
    torch.testing.assert_close(model(x), before)


@pytest.mark.parametrize("orthogonal_map", MAPS)
def test_depthwise_kernels_become_unit_filters(orthogonal_map: str) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)).double()
    made = apply_defense(model, f"orthogonal(orthogonal_map='{orthogonal_map}', bn=false)")
    lengths = made[0].weight.flatten(1).norm(dim=1)  # type: ignore[index]
    torch.testing.assert_close(lengths.detach(), torch.ones(4, dtype=torch.float64))


def test_where_the_stride_is_the_kernel_s_size_the_operator_is_orthogonal() -> None:
    model = nn.Sequential(nn.Conv2d(2, 5, 3, stride=3, bias=False)).double()
    made = apply_defense(model, "orthogonal(bn=false)")
    values = torch.linalg.svdvals(dense(made, 2, 6))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-10, rtol=0)


@pytest.mark.parametrize("groups", [1, 2])
def test_parseval_takes_a_step_down_the_gradient_of_soft_orthogonality(groups: int) -> None:
    model, rate = network(groups=groups), 0.01
    weight = model[0].weight
    (gradient,) = torch.autograd.grad(SoftOrthogonal(strength=1.0).penalty(model), weight)
    expected = weight.detach() - rate / 4 * gradient
    Parseval(rate=rate).after_step(model)
    torch.testing.assert_close(weight.detach(), expected, atol=1e-13, rtol=0)


def test_parseval_leaves_orthogonal_kernels_and_other_layers_as_they_are() -> None:
    model = nn.Sequential(network(), nn.Flatten(), nn.Linear(3, 2).double())
    nn.init.orthogonal_(model[0][0].weight)  # type: ignore[index]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Parseval(rate=0.3).after_step(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", [Parseval, SoftOrthogonal])
def test_penalties_and_projections_leave_the_network_to_be_applied_to_as_it_is(kind: type) -> None:
    plain = network()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(apply_defense(plain, kind()).eval()(x), plain.eval()(x))


def test_soft_orthogonality_adds_up_layers_and_groups_and_has_a_gradient() -> None:
    defense = SoftOrthogonal(strength=0.5)
    model = nn.Sequential(network(groups=2), nn.Conv2d(12, 3, 1).double())
    parts = [defense.penalty(model[0]), defense.penalty(model[1])]
    torch.testing.assert_close(defense.penalty(model), parts[0] + parts[1])
    halves = [gram(half) for half in model[0][0].weight.chunk(2)]  # type: ignore[index]
    eye = torch.eye(6, dtype=torch.float64)
    expected = sum(0.5 * (half[0] - eye).square().sum() for half in halves)
    torch.testing.assert_close(parts[0].detach(), expected)

    def penalty(weight: Tensor) -> Tensor:
        model[1]._parameters["weight"] = weight  # type: ignore[assignment]
        return defense.penalty(model[1])

    assert torch.autograd.gradcheck(penalty, (model[1].weight.detach().requires_grad_(),))


@pytest.mark.parametrize("defense", ["bjorck(steps=0)", "bjorck(steps=-3)"])
def test_no_iteration_at_all_is_refused(defense: str) -> None:
    with pytest.raises(UserError, match=r"steps is .*: it must be 1 or more"):
        apply_defense(network(), defense)


@pytest.mark.parametrize("defense", ["orthogonal", "bjorck", "parseval", "soft_orthogonal"])
def test_every_convolution_is_taken(defense: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), nn.Conv2d(6, 6, 3, 2, groups=6),
        nn.Conv2d(6, 4, 1, stride=2), nn.Conv2d(4, 4, (1, 3), padding="same", dilation=2),
    )  # fmt: skip
    x = torch.randn(2, 3, 9, 9)
    assert apply_defense(model, defense)(x).shape == model(x).shape
