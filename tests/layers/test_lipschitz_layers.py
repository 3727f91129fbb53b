"""AOL kernels and residual blocks: norms of at most one, against dense matrices and a library."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from robench import apply_defense
from robench.layers.almost_orthogonal import AlmostOrthogonal
from robench.layers.residual import LipschitzResidual2d, Smoothness, cannot_be_residual

SMOOTHNESS: list[Smoothness] = ["diagonal", "norm"]


@settings(max_examples=20, deadline=None)
@given(
    outputs=st.sampled_from([2, 4, 8]),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    groups=st.sampled_from([1, 2]),
    n=st.integers(1, 6),
)
def test_aol_kernels_make_convolutions_of_norm_at_most_one(
    outputs: int, kernel: int, stride: int, groups: int, n: int
) -> None:
    torch.manual_seed(kernel)
    conv = nn.Conv2d(4, outputs, kernel, stride, kernel // 2, groups=groups, bias=False).double()
    conv.weight = nn.Parameter(AlmostOrthogonal(groups)(5 * conv.weight))
    assert torch.linalg.matrix_norm(dense(conv, 4, n), ord=2) <= 1 + 1e-12


def test_aol_leaves_orthogonal_kernels_as_they_are() -> None:
    weight = torch.linalg.qr(torch.randn(6, 4, dtype=torch.float64))[0][:, :, None, None]
    torch.testing.assert_close(AlmostOrthogonal(1)(weight), weight)


@pytest.mark.parametrize("groups", [1, 2])
def test_aol_agrees_with_another_implementation(groups: int) -> None:
    module = pytest.importorskip("orthogonium.layers.conv.AOL.aol")
    torch.manual_seed(0)
    weight = torch.randn(8, 8 // groups, 3, 3)
    theirs = module.AOLReparametrizer(8, groups)
    # Theirs rescales the rows of the kernel that it is given; ours the columns of the layer's.
    split = weight.view(groups, 8 // groups, 8 // groups, 3, 3).transpose(1, 2).flatten(0, 1)
    expected = theirs(split.flip((2, 3)).contiguous()).flip((2, 3))
    expected = expected.view(groups, 8 // groups, 8 // groups, 3, 3).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(AlmostOrthogonal(groups)(weight), expected, atol=1e-5, rtol=1e-4)


def test_aol_of_nothing_is_nothing_and_has_a_gradient() -> None:
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    weight[:, 1] = 0
    weight.requires_grad_()
    result = AlmostOrthogonal(1)(weight)
    assert result[:, 1].abs().max() == 0
    (gradient,) = torch.autograd.grad(result.sum(), weight)
    assert gradient.isfinite().all()
    smooth = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(AlmostOrthogonal(1), (smooth,))


def block(smoothness: Smoothness, scale: float = 1.0, **changes: Any) -> LipschitzResidual2d:
    conv = nn.Conv2d(
        **{"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, **changes}
    )
    made = LipschitzResidual2d(conv, smoothness).double()
    with torch.no_grad():
        made.conv.weight.mul_(scale)
    return made


@settings(max_examples=25, deadline=None)
@given(
    smoothness=st.sampled_from(SMOOTHNESS),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    n=st.integers(1, 7),
    seed=st.integers(0, 1000),
)
def test_residual_blocks_do_not_expand_distances(
    smoothness: Smoothness, scale: float, n: int, seed: int
) -> None:
    torch.manual_seed(seed)
    made = block(smoothness, scale)
    if smoothness == "diagonal":
        nn.init.normal_(made.log_q)
    x, y = torch.randn(2, 16, 4, n, n, dtype=torch.float64)
    after = (made(x) - made(y)).flatten(1).norm(dim=1)
    assert (after <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-12)).all()


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_where_all_activations_are_on_the_jacobian_is_that_of_the_formula(
    smoothness: Smoothness,
) -> None:
    torch.manual_seed(0)
    made = block(smoothness)
    nn.init.constant_(made.conv.bias, 100)  # type: ignore[arg-type]
    zero = torch.zeros(1, 4, 5, 5, dtype=torch.float64)
    basis = torch.eye(100, dtype=torch.float64).view(-1, 4, 5, 5)
    with torch.no_grad():
        jacobian = (made(basis) - made(zero)).flatten(1)
    values = torch.linalg.eigvalsh(jacobian)
    torch.testing.assert_close(jacobian, jacobian.T) if smoothness == "norm" else None
    assert values.max() <= 1 + 1e-12
    assert torch.linalg.svdvals(jacobian).max() <= 1 + 1e-12
    assert torch.linalg.svdvals(jacobian).min() < 0.9, "it does something"


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_residual_blocks_have_gradients(smoothness: Smoothness) -> None:
    made = block(smoothness)
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made, (x,), fast_mode=True)
    made(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 2},
        {"out_channels": 6},
        {"groups": 2},
        {"padding": 0},
        {"padding_mode": "circular"},
    ],
    ids=str,
)
def test_only_convolutions_that_keep_size_and_channels_can_be_inside(
    changes: dict[str, Any],
) -> None:
    options = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1}
    assert not cannot_be_residual(nn.Conv2d(**options))  # type: ignore[arg-type]
    assert not cannot_be_residual(nn.Conv2d(4, 4, 3, padding="same"))
    assert cannot_be_residual(nn.Conv2d(**{**options, **changes}))


class Called(TorchDispatchMode):
    """Notes what is called, and with how many numbers at most."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.name().removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(
    "defense", ["aol", "cayley", "bro", "lot", "soc", "conv_sn", "sll", "sll(smoothness='norm')"]
)
def test_in_evaluation_nothing_is_computed_from_the_kernel_again(defense: str, kernel: int) -> None:
    expression = defense if defense.startswith("sll") else f"{defense}(bn=false)"
    plain = nn.Sequential(nn.Conv2d(8, 8, kernel, padding=kernel // 2))
    layer = apply_defense(plain, expression).eval().requires_grad_(False)
    x = torch.randn(2, 8, 6, 6)
    layer(x)
    with Called() as called:
        layer(x)
    of_kernels = ("linalg", "_linalg", "matrix_exp", "index_add", "sum", "norm", "fft2", "mm")
    assert [name for name in called.names if name.startswith(of_kernels)] == []
    assert sum("bmm" in name for name in called.names) <= 1, "one product with the images"
