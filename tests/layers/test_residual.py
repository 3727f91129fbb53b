"""Residual blocks y = x - 2 K^T D^-1 relu(K x + b): D dominates K K^T, so nothing expands."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.layers.residual import LipschitzResidual2d, Smoothness

SMOOTHNESS: list[Smoothness] = ["diagonal", "norm"]
KERNELS: list[dict[str, Any]] = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 1},
    {"kernel_size": 5, "padding": 2},
    {"kernel_size": (3, 1), "padding": (1, 0)},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 2, "padding": 1, "dilation": 2},
]


def block(smoothness: Smoothness, seed: int = 0, **changes: Any) -> LipschitzResidual2d:
    torch.manual_seed(seed)
    made = LipschitzResidual2d(nn.Conv2d(3, 3, **changes), smoothness).double()
    if smoothness == "diagonal":
        nn.init.normal_(made.log_q)
    return made


def with_all_open(made: LipschitzResidual2d, n: int) -> tuple[Tensor, Tensor]:
    """Return K and K^T D^-1 K, with every activation on."""
    opened = copy.deepcopy(made)
    nn.init.constant_(opened.conv.bias, 1e3)  # type: ignore[arg-type]
    jacobian = dense(opened, 3, n)
    return dense(made.conv, 3, n), (torch.eye(3 * n * n).double() - jacobian) / 2


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_the_scale_dominates_the_gram_matrix_of_the_operator(
    smoothness: Smoothness, kernel: dict[str, Any]
) -> None:
    made, n = block(smoothness, **kernel), 5
    operator, inner = with_all_open(made, n)
    torch.testing.assert_close(inner, inner.T, atol=1e-9, rtol=0)
    # K^T D^-1 K has eigenvalues of at most 1 if and only if D is at least K K^T.
    values = torch.linalg.eigvalsh(inner)
    assert values.max() <= 1 + 1e-9
    assert values.min() >= -1e-9
    rank = torch.linalg.matrix_rank(operator)
    assert torch.linalg.matrix_rank(inner, atol=1e-8) == rank, "it sees what K sees"


@settings(max_examples=25, deadline=None)
@given(
    smoothness=st.sampled_from(SMOOTHNESS),
    kernel=st.sampled_from(KERNELS),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    seed=st.integers(0, 1000),
    distance=st.sampled_from([1e-3, 1.0, 100.0]),
)
def test_no_two_images_move_apart(
    smoothness: Smoothness,
    kernel: dict[str, Any],
    size: tuple[int, int],
    seed: int,
    distance: float,
) -> None:
    made = block(smoothness, seed, **kernel)
    x = torch.randn(16, 3, *size, dtype=torch.float64)
    y = x + distance * torch.randn_like(x)
    after = (made(x) - made(y)).flatten(1).norm(dim=1)
    assert (after <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-9)).all()


def test_the_norm_makes_some_direction_turn_around() -> None:
    torch.manual_seed(0)
    made = block("norm", kernel_size=1)
    _, inner = with_all_open(made, 4)
    # For a 1x1 kernel D is ||K||^2 up to the bound: the top singular vector x goes to about -x.
    assert 0.98 < float(torch.linalg.eigvalsh(inner).max()) <= 1 + 1e-12


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_closed_activations_leave_the_input(smoothness: Smoothness) -> None:
    made, x = block(smoothness, **KERNELS[0]), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    nn.init.constant_(made.conv.bias, -1e3)  # type: ignore[arg-type]
    assert torch.equal(made(x), x)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_the_size_of_the_kernel_does_not_matter_without_a_bias(smoothness: Smoothness) -> None:
    made, x = block(smoothness, **KERNELS[0]), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    nn.init.zeros_(made.conv.bias)  # type: ignore[arg-type]
    before = made(x)
    with torch.no_grad():
        made.conv.weight.mul_(1e3)
    torch.testing.assert_close(made(x), before, atol=1e-10, rtol=0)


def test_the_diagonal_is_the_weighted_sum_of_overlaps() -> None:
    made = block("diagonal", kernel_size=1)
    weight = made.conv.weight.detach().flatten(1)
    gram, q = (weight @ weight.T).abs(), made.log_q.detach().exp()
    scale = torch.diag(1 / ((gram * q).sum(1) / q))  # D_o = sum_o' |G[o, o']| q_o' / q_o
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    assert made.conv.bias is not None
    bias = made.conv.bias.detach().view(-1, 1, 1)
    inner = torch.relu(torch.einsum("oi,bihw->bohw", weight, x) + bias)
    expected = x - 2 * torch.einsum("oi,op,bphw->bihw", weight, scale, inner)
    torch.testing.assert_close(made(x), expected, atol=1e-12, rtol=0)


def test_the_common_factor_of_the_learned_diagonal_does_not_matter() -> None:
    made, x = block("diagonal", **KERNELS[0]), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    before = made(x)
    with torch.no_grad():
        made.log_q.add_(3)
    torch.testing.assert_close(made(x), before, atol=1e-12, rtol=0)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_a_kernel_of_zeros_leaves_the_input(smoothness: Smoothness) -> None:
    made, x = block(smoothness, **KERNELS[0]), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    nn.init.zeros_(made.conv.weight)
    assert torch.equal(made(x), x)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_its_parameters_have_the_gradients_of_finite_differences(smoothness: Smoothness) -> None:
    made = block(smoothness, **KERNELS[0])
    x = torch.randn(1, 3, 3, 3, dtype=torch.float64)
    names = [name for name, _ in made.named_parameters()]

    def function(*values: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(made, dict(zip(names, values, strict=True)), (x,))
        return out

    assert torch.autograd.gradcheck(function, tuple(made.parameters()), fast_mode=True)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_frozen_blocks_take_other_sizes_and_follow_every_change(smoothness: Smoothness) -> None:
    free = block(smoothness, **KERNELS[0])
    frozen = copy.deepcopy(free).requires_grad_(False)
    for n in (4, 6, 4):
        x = torch.randn(2, 3, n, n, dtype=torch.float64)
        assert torch.equal(frozen(x), free(x))
    with torch.no_grad():
        for one, other in zip(frozen.parameters(), free.parameters(), strict=True):
            one.mul_(-2)
            other.mul_(-2)
    assert torch.equal(frozen(x), free(x))


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_a_network_without_shortcuts_is_a_contraction_and_has_no_norm_layers(
    smoothness: Smoothness,
) -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.BatchNorm2d(6),
    )  # fmt: skip
    made = apply_defense(model, f"sll(smoothness='{smoothness}')").double()
    blocks = [isinstance(module, LipschitzResidual2d) for module in made.modules()]
    assert sum(blocks) == 1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())
    x, y = torch.randn(2, 16, 2, 6, 6, dtype=torch.float64)
    after = (made(x) - made(y)).flatten(1).norm(dim=1)
    assert (after <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-9)).all()


def test_paddings_that_repeat_pixels_are_refused_by_name_and_reason() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"))
    reason = r"layer '0', Conv2d.*Sll cannot .*'reflect' repeats pixels"
    with pytest.raises(UserError, match=reason):
        apply_defense(model, "sll")
