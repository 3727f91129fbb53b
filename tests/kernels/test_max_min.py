"""The pairs that MaxMin sorts: torch's numbers and torch's gradients, to the bit."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robench.kernels.max_min import max_min


def plain(x: Tensor) -> Tensor:
    one, other = x.chunk(2, 1)
    return torch.cat([torch.maximum(one, other), torch.minimum(one, other)], 1)


def gradient(function: object, x: Tensor, upstream: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    [found] = torch.autograd.grad(function(x), x, upstream)  # type: ignore[operator]
    return found


@given(
    shape=st.sampled_from([(3, 4), (2, 6, 5), (2, 8, 3, 4), (2, 4, 8, 8)]),
    ties=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    channels_last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numbers_and_gradients_are_torch_s(
    shape: tuple[int, ...], ties: bool, dtype: torch.dtype, channels_last: bool, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    x, upstream = (torch.randn(shape, generator=rng, dtype=dtype) for _ in range(2))
    if ties:
        x = x.round()
    if channels_last and len(shape) == 4:
        x, upstream = (t.to(memory_format=torch.channels_last) for t in (x, upstream))
    assert torch.equal(max_min(x), plain(x))
    assert torch.equal(max_min(x.clone().requires_grad_()), plain(x))
    assert torch.equal(gradient(max_min, x, upstream), gradient(plain, x, upstream))


def test_equal_channels_share_the_gradient() -> None:
    found = gradient(max_min, torch.zeros(1, 2), torch.tensor([[4.0, 2.0]]))
    assert found.tolist() == [[3.0, 3.0]]


def test_half_precision_has_the_same_gradients() -> None:
    rng = torch.Generator().manual_seed(0)
    x, upstream = (torch.randn(4, 8, 5, 5, generator=rng).bfloat16() for _ in range(2))
    assert torch.equal(gradient(max_min, x, upstream), gradient(plain, x, upstream))


def test_second_derivatives_and_the_transforms_of_torch_func() -> None:
    x = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(max_min, x.clone().requires_grad_())
    assert torch.autograd.gradgradcheck(max_min, x.clone().requires_grad_())
    found, wanted = (torch.func.jacrev(function)(x) for function in (max_min, plain))
    assert torch.equal(found, wanted)
    each = torch.func.vmap(torch.func.grad(lambda one: max_min(one.unsqueeze(0)).square().sum()))
    assert torch.allclose(each(x), 2 * x)


def test_the_jacobian_of_each_sample_is_torch_s() -> None:
    def plain(x: Tensor) -> Tensor:
        one, other = x.chunk(2, 1)
        return torch.cat([torch.maximum(one, other), torch.minimum(one, other)], 1)

    x = torch.randn(3, 4, 2, dtype=torch.float64)
    ours, theirs = (
        torch.func.vmap(torch.func.jacrev(lambda z, f=f: f(z[None])[0]))(x)
        for f in (max_min, plain)
    )
    assert torch.equal(ours, theirs)


def test_a_network_is_exported_with_torch_s_own_functions() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return max_min(self.conv(x))

    net, x = Net().eval(), torch.randn(1, 2, 3, 3)
    with torch.no_grad():
        exported = torch.export.export(net, (x,))
    assert torch.equal(exported.module()(x), net(x))
