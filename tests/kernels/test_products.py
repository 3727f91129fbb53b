"""Autocast to bf16 where a processor has no instructions for it: the same in float32 products."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.kernels import products
from robench.kernels.fast_convs import fast_convolutions
from robench.kernels.products import fast_products

CPU = torch.device("cpu")
CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": lambda x, w: x @ w,
    "batched": lambda x, w: x[None] @ w[None],
    "linear": lambda x, w: F.linear(x, w.T, w[0]),
    "conv1d": lambda x, w: F.conv1d(x[None], w[:, :, None]),
    "grouped": lambda x, w: F.conv2d(x[None, ..., None], w[:, :1, None, None], groups=16),
    "same": lambda x, w: F.conv2d(x[None, ..., None], w[..., None, None], padding="same"),
    "transposed": lambda x, w: F.conv_transpose2d(x[None, ..., None], w[..., None, None]),
    "attention": lambda x, w: F.scaled_dot_product_attention(x[None], w[None], w[None]),
}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a processor that has no instructions for bf16."""
    monkeypatch.setattr(products, "has_products_of_bf16", lambda: False)


def step(call: Callable[..., Tensor], *operands: Tensor) -> list[Tensor]:
    """Return a result under autocast, and the gradients of the operands."""
    with torch.autocast("cpu", torch.bfloat16):
        y = call(*operands)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, operands, upstream)]


def operands() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(16, 16, requires_grad=True), torch.randn(16, 16, requires_grad=True)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_results_and_gradients_are_those_of_autocast(call: Callable[..., Tensor]) -> None:
    own = step(call, *operands())
    with fast_products(CPU):
        found = step(call, *operands())
    for one, other in zip(found, own, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() <= 0.01 * other.norm()


@pytest.mark.usefixtures("without")
def test_results_are_float32_products_of_rounded_operands_rounded_once() -> None:
    x, w = operands()
    with fast_products(CPU), torch.autocast("cpu", torch.bfloat16):
        found = x @ w
    assert found.equal((x.bfloat16().float() @ w.bfloat16().float()).bfloat16())


@pytest.mark.usefixtures("without")
def test_float64_and_what_is_outside_autocast_stay() -> None:
    x, w = operands()
    with fast_products(CPU):
        assert (x @ w).dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            assert (x.double() @ w.double()).equal(x.double() @ w.double())


@pytest.mark.parametrize("has", [True, False])
def test_autocast_is_replaced_only_where_it_is_slow_and_only_within(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tensor] = []

    def rounded(value: Tensor) -> Tensor:
        asked.append(value)
        return value

    monkeypatch.setattr(products, "has_products_of_bf16", lambda: has)
    monkeypatch.setattr(products, "_rounded", rounded)
    x, w = operands()
    with torch.autocast("cpu", torch.bfloat16):
        with fast_products(CPU):
            x @ w
        assert bool(asked) is not has
        asked.clear()
        assert (x @ w).dtype == torch.bfloat16
        assert not asked


@pytest.mark.usefixtures("without")
def test_a_training_that_fails_leaves_autocast_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="same"), fast_products(CPU):
        raise RuntimeError("the same")
    monkeypatch.setattr(products, "_rounded", lambda value: pytest.fail("still replaced"))
    x, w = operands()
    with torch.autocast("cpu", torch.bfloat16):
        x @ w


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("channels", [2, 3, 6])
def test_the_weight_gradient_that_torch_gets_wrong_is_not_used(channels: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 2 * channels, 1, 2).to(memory_format=torch.channels_last)
    x = torch.randn(8, channels, 9, 9).to(memory_format=torch.channels_last)
    with fast_convolutions(conv), fast_products(CPU), torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    upstream = torch.randn(y.shape).bfloat16()
    found = torch.autograd.grad(y, conv.weight, upstream)[0]
    seen = x[..., ::2, ::2].bfloat16().double()
    exact = torch.einsum("bohw,bihw->oi", upstream.double(), seen)[:, :, None, None]
    assert (found - exact).norm() <= 0.01 * exact.norm()
