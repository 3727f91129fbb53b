"""Kernels of almost no norm: no defense divides by it."""

import pytest
import torch
from torch import nn

from robench import apply_defense
from robench.layers.nonzero import TINY, nonzero

DIVIDES = ["aol(bn=false)", "bjorck(bn=false)", "cayley(bn=false)", "conv_sn(bn=false)"]
DIVIDES += ["conv_sn(norm='svd', bn=false)", "sll", "sll(smoothness='norm')"]
DIVIDES += ["bro(bn=false)", "lot(bn=false)", "soc(bn=false)"]


@pytest.mark.parametrize("scale", [1e-11, 1e-12, 1e-20, 1e-38, 0.0])
@pytest.mark.parametrize("name", DIVIDES)
def test_kernels_of_almost_no_norm_have_ordinary_gradients(name: str, scale: float) -> None:
    torch.manual_seed(0)
    model = apply_defense(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1)), name)
    kernels = [p for p in model.parameters() if p.ndim >= 4]
    with torch.no_grad():
        for kernel in kernels:
            kernel.mul_(scale)
    output = model(torch.randn(2, 4, 6, 6))
    (output * torch.randn_like(output)).sum().backward()
    for kernel in kernels:
        assert kernel.grad is not None
        assert kernel.grad.abs().max() < 1e4


def test_other_norms_are_left_alone() -> None:
    norms = torch.tensor([0.0, TINY / 2, 2 * TINY, 3.0])
    torch.testing.assert_close(nonzero(norms), torch.tensor([1.0, 1.0, 2 * TINY, 3.0]))
    squares = nonzero(norms**2, power=2)
    torch.testing.assert_close(squares, torch.tensor([1.0, 1.0, 4 * TINY**2, 9.0]))
