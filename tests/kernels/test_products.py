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
    "conv1d same": lambda x, w: F.conv1d(x[None], w[:, :, None], padding="same"),
    "summed": lambda x, w: torch.addbmm(x, x[None], w[None]),
    "dot": torch.linalg.vecdot,
    "same": lambda x, w: F.conv2d(x[None, ..., None], w[..., None, None], padding="same"),
    "transposed": lambda x, w: F.conv_transpose2d(x[None, ..., None], w[..., None, None]),
    "attention": lambda x, w: F.scaled_dot_product_attention(x[None], w[None], w[None]),
}
EVERY = (
    "conv1d", "conv1d.padding", "conv2d", "conv2d.padding", "conv3d", "conv3d.padding", "conv_tbc",
    "conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input", "linear", "matmul",
    "mm", "mv", "bmm", "addmm", "addmv", "addbmm", "baddbmm", "linalg_vecdot", "linalg_matmul",
    "einsum", "bilinear", "chain_matmul", "scaled_dot_product_attention",
)  # fmt: skip


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
    single, double = x @ w, x.double() @ w.double()
    with fast_products(CPU):
        assert (x @ w).equal(single)
        with torch.autocast("cpu", torch.bfloat16):
            assert (x.double() @ w.double()).equal(double)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_operands_and_results_have_the_dtypes_of_autocast(dtype: torch.dtype) -> None:
    layer, x = nn.Linear(8, 4), torch.randn(2, 8)
    with fast_products(CPU), torch.autocast("cpu", dtype):
        for own in (x, x.half(), x.bfloat16()):
            assert layer(own).dtype == dtype
        assert (x.half() @ x.half().T).dtype == dtype


def test_all_products_are_those_of_autocast() -> None:
    known = torch._C._dispatch_has_kernel_for_dispatch_key
    every = {f"aten::{name}" for name in EVERY if known(f"aten::{name}", "AutocastCPU")}
    ours = {operation.name().removesuffix(".default") for operation in products._PRODUCTS}
    assert ours >= every
    assert all(known(name, "AutocastCPU") for name in ours)


@pytest.mark.parametrize("has", [True, False])
def test_autocast_is_replaced_only_where_it_is_slow_and_only_within(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tensor] = []

    def rounded(value: Tensor, dtype: torch.dtype) -> Tensor:
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
    monkeypatch.setattr(products, "_rounded", lambda *_: pytest.fail("still replaced"))
    x, w = operands()
    with torch.autocast("cpu", torch.bfloat16):
        x @ w


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    "called",  # the functions of torch, which the guard of the tests does not replace
    [
        lambda c, x: torch.conv2d(x, c.weight, c.bias, 2),
        lambda c, x: torch.conv2d(x, c.weight, None, 2),
        nn.Module.__call__,
    ],
)
@pytest.mark.parametrize("channels", [2, 3, 6])
def test_the_weight_gradient_that_torch_gets_wrong_is_not_used(
    channels: int, called: Callable[[nn.Conv2d, Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 2 * channels, 1, 2).to(memory_format=torch.channels_last)
    x = torch.randn(8, channels, 9, 9).to(memory_format=torch.channels_last)
    with fast_convolutions(conv), fast_products(CPU), torch.autocast("cpu", torch.bfloat16):
        y = called(conv, x)
    upstream = torch.randn(y.shape).bfloat16()
    found = torch.autograd.grad(y, conv.weight, upstream)[0]
    seen = x[..., ::2, ::2].bfloat16().double()
    exact = torch.einsum("bohw,bihw->oi", upstream.double(), seen)[:, :, None, None]
    assert (found - exact).norm() <= 0.01 * exact.norm()
