"""Transforms are torch's to the bit; gradients are those of torch and of finite differences."""

import pytest
import torch
from torch import Tensor

from robench.kernels.real_fft import rfft2
from robench.layers.circular import kernel_symbol, on_torus, symbol


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def upstream(like: Tensor) -> Tensor:
    return torch.randn(
        like.shape, dtype=like.dtype, generator=torch.Generator().manual_seed(7)
    )  # of the half grid as it is, not of a real image


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (4, 6), (5, 4), (4, 5), (7, 3)])
def test_an_image_has_the_spectrum_and_the_gradient_of_torch(size: tuple[int, int]) -> None:
    x = normal(2, 3, *size)
    ours, theirs = rfft2(x), torch.fft.rfft2(x)
    assert torch.equal(ours, theirs)
    found, expected = (torch.autograd.grad(y, x, upstream(theirs))[0] for y in (ours, theirs))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert torch.autograd.gradcheck(rfft2, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(rfft2, (x,), fast_mode=True)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (2, 3), (5, 1)])
@pytest.mark.parametrize("torus", [(6, 6), (4, 5), (2, 3)])
@pytest.mark.parametrize(
    ("stride", "groups", "dilation"), [(1, 1, (1, 1)), (1, 2, (2, 1)), (2, 1, (1, 1))]
)
def test_a_kernel_has_the_matrices_and_the_gradient_of_its_transform(
    kernel: tuple[int, int], torus: tuple[int, int], stride: int, groups: int,
    dilation: tuple[int, int],
) -> None:  # fmt: skip
    sides, strides = (torus[0] * stride, torus[1] * stride), (stride, stride)
    weight = normal(4, 2, *kernel)
    ours = kernel_symbol(weight, sides, strides, groups, dilation)
    theirs = symbol(on_torus(weight, sides, dilation), strides, groups)
    assert torch.equal(ours, theirs)
    found, expected = (torch.autograd.grad(y, weight, upstream(theirs))[0] for y in (ours, theirs))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert torch.autograd.gradgradcheck(
        lambda w: kernel_symbol(w, sides, strides, groups, dilation), (weight,), fast_mode=True
    )
