"""Gradients of strided 1x1 convolutions agree with torch's."""

import pytest
import torch
from torch.nn import functional as F

from robench.kernels.strided_pointwise import applies, image_gradient, weight_gradient


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [(2, 2), (1, 3)])
def test_both_gradients(layout: torch.memory_format, stride: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(*size, generator=generator, dtype=torch.float64).to(memory_format=layout)
        for size in ((3, 4, 5, 6), (7, 4, 1, 1))
    )
    x, weight = x.requires_grad_(), weight.requires_grad_()
    y = F.conv2d(x, weight, stride=stride)
    upstream = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    dx, dweight = torch.autograd.grad(y, (x, weight), upstream)
    torch.testing.assert_close(image_gradient(upstream, x, weight, stride), dx)
    torch.testing.assert_close(weight_gradient(upstream, x, stride), dweight)


def test_it_applies_to_strides_of_single_pixels_only() -> None:
    point, three = torch.empty(2, 2, 1, 1), torch.empty(2, 2, 3, 3)
    assert applies(point, (2, 2), (0, 0))
    assert not applies(point, (1, 1), (0, 0))
    assert not applies(point, (2, 2), (1, 1))
    assert not applies(three, (2, 2), (0, 0))
