"""The plan's matrices are those of the transforms, with few products."""

import pytest
import torch
from torch import Tensor

from robench.kernels.fourier_plan import FourierPlan, fourier_plan

Pair = tuple[int, int]


def plan_of(image: Pair, kernel: Pair, dilation: Pair = (1, 1)) -> tuple[FourierPlan, Pair]:
    n1, n2 = (n + d * (k - 1) for n, k, d in zip(image, kernel, dilation, strict=True))
    device = torch.device("cpu")
    window = (range(n1), range(n2))
    return fourier_plan(image, kernel, dilation, *window, torch.float64, device), (n1, n2)


def products(plan: FourierPlan) -> int:
    return sum(len(part.into) for part in plan.parts)


def convolved(plan: FourierPlan, image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve one plane with one kernel by the plan."""
    rows = (plan.into @ image).unflatten(0, (-1, 2))
    columns = [
        part.back @ ((part.into @ row.flatten()) * (part.kernel @ kernel.flatten()))
        for part, row in zip(plan.parts, rows, strict=True)
    ]
    return plan.back @ torch.cat([c.view(2, -1) for c in columns])


@pytest.mark.parametrize("image", [(1, 1), (1, 2), (4, 4), (5, 6), (6, 5)])
@pytest.mark.parametrize(("kernel", "dilation"), [((3, 3), (1, 1)), ((2, 1), (1, 3)),
                                                  ((1, 1), (1, 1)), ((2, 3), (2, 1))])  # fmt: skip
def test_it_is_the_full_convolution(image: Pair, kernel: Pair, dilation: Pair) -> None:
    plan, size = plan_of(image, kernel, dilation)
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in (image, kernel))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    expected = torch.nn.functional.conv2d(x[None, None], w[None, None], None, 1, reach, dilation)
    found = convolved(plan, x, w)
    assert found.shape == size
    torch.testing.assert_close(found, expected[0, 0])


@pytest.mark.parametrize("image", [(1, 1), (4, 4), (5, 4), (4, 5), (5, 5), (32, 32)])
def test_products_are_three_a_pair_of_frequencies_and_one_where_the_spectrum_is_real(
    image: Pair,
) -> None:
    plan, (n1, n2) = plan_of(image, (3, 3))
    real = (2 - n1 % 2) * (2 - n2 % 2)
    assert products(plan) == real + 3 * (n1 * n2 - real) // 2


def test_frequencies_name_the_gain_of_each_product() -> None:
    plan, (n1, n2) = plan_of((4, 5), (3, 3))
    assert len(plan.parts) == n1 // 2 + 1
    for f1, part in enumerate(plan.parts):
        counts = torch.bincount(part.frequencies, minlength=n2)
        edge = f1 in (0, n1 // 2)
        expected = [1 if edge and f2 == 0 else 3 for f2 in range(n2 // 2 + 1 if edge else n2)]
        assert counts.tolist() == expected + [0] * (n2 - len(expected))
