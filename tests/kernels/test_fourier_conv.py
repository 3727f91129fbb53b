"""The fused convolution and filter equal one applied after the other."""

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.kernels import fourier_conv
from robench.kernels.fourier_conv import MIN_BATCH, filtered_conv
from robench.kernels.full_conv import full_conv
from robench.kernels.plane_filter import PlaneGain, filter_planes, plane_gain
from robench.layers.convnorm import ConvNorm2d, gain
from robench.layers.kernel_spectrum import autocorrelation, power_spectrum

Pair = tuple[int, int]
GEOMETRIES = list(product([(3, 3), (2, 3), (1, 4), (5, 1)], [(1, 1), (2, 1)]))


@pytest.fixture(autouse=True)
def _always_by_frequencies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolve by frequencies even where it is not less work, as on these small cases."""
    monkeypatch.setattr(fourier_conv, "_pays", lambda *_: True)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def gain_of(weight: Tensor, x: Tensor, dilation: Pair) -> PlaneGain:
    size = tuple(
        n + d * (k - 1) for n, d, k in zip(x.shape[2:], dilation, weight.shape[2:], strict=True)
    )
    lags = autocorrelation(weight.detach())
    grid = (size[0], size[1])
    return plane_gain(gain(power_spectrum(lags, grid, dilation)), grid)


def by_definition(
    x: Tensor, weight: Tensor, gain: PlaneGain, dilation: Pair, *window: range
) -> Tensor:
    return filter_planes(full_conv(x, weight, dilation, 1), gain, *window)


def by_frequencies(
    x: Tensor, weight: Tensor, gain: PlaneGain, dilation: Pair, *window: Any
) -> Tensor:
    return filtered_conv(x, weight, gain, dilation, 1, *window)


def values(
    function: Any, x: Tensor, weight: Tensor, dilation: Pair, window: tuple[range, range]
) -> list[Tensor]:
    """Return the result and both gradients."""
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    z = function(x, weight, gain_of(weight, x, dilation), dilation, *window)
    return [z, *torch.autograd.grad(z, (x, weight), normal(*z.shape, seed=9).to(z.dtype))]


@pytest.mark.parametrize(("kernel", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("sides", [(1, 1), (4, 5), (7, 6)])
def test_values_and_gradients_are_those_of_the_definition(
    kernel: Pair, dilation: Pair, sides: Pair
) -> None:
    x, weight = normal(2, 3, *sides), normal(4, 3, *kernel, seed=1)
    rows, columns = gain_of(weight, x, dilation).size
    window = (range(0, rows), range(min(1, columns - 1), columns, 2))
    ours = values(by_frequencies, x, weight, dilation, window)
    theirs = values(by_definition, x, weight, dilation, window)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(0, 100),
)
def test_any_size_kernel_and_window(
    sides: Pair, kernel: Pair, start: int, stride: int, seed: int
) -> None:
    x, weight = normal(2, 2, *sides, seed=seed), normal(3, 2, *kernel, seed=seed + 1)
    rows, columns = gain_of(weight, x, (1, 1)).size
    window = (range(min(start, rows - 1), rows, stride), range(0, max(columns - start, 1), stride))
    ours = values(by_frequencies, x, weight, (1, 1), window)
    theirs = values(by_definition, x, weight, (1, 1), window)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).norm() <= 1e-7 * other.norm() + 1e-9  # V is large near a null


@pytest.mark.parametrize("sides", [(4, 4), (8, 8), (15, 16)])
def test_in_float32_it_is_within_1e_5_of_the_exact_definition(sides: Pair) -> None:
    x, weight = normal(16, 32, *sides), normal(48, 32, 3, 3, seed=1)
    window = (range(1, sides[0] + 1, 2), range(1, sides[1] + 1))
    exact = values(by_definition, x, weight, (1, 1), window)
    ours = values(by_frequencies, x.float(), weight.float(), (1, 1), window)
    for mine, other in zip(ours, exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - other).norm() <= 1e-5 * other.norm()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layouts_give_the_same_up_to_the_order_of_sums(layout: torch.memory_format) -> None:
    x, weight = normal(2, 3, 6, 5), normal(4, 3, 3, 3, seed=1)
    window = (range(1, 7), range(1, 6))
    reference = values(by_frequencies, x, weight, (1, 1), window)
    laid_out = (tensor.to(memory_format=layout) for tensor in (x, weight))
    for mine, other in zip(
        values(by_frequencies, *laid_out, (1, 1), window), reference, strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("frozen", ["image", "weight"])
def test_only_the_gradient_that_is_wanted_is_made(frozen: str) -> None:
    x = normal(2, 2, 4, 4).requires_grad_(frozen != "image")
    weight = normal(3, 2, 3, 3, seed=1).requires_grad_(frozen != "weight")
    z = by_frequencies(x, weight, gain_of(weight, x, (1, 1)), (1, 1), range(6), range(6))
    z.square().sum().backward()
    assert (x.grad is None) == (frozen == "image")
    assert (weight.grad is None) == (frozen == "weight")


def test_first_and_second_derivatives() -> None:
    x, weight = normal(1, 2, 3, 3).requires_grad_(), normal(2, 2, 2, 2, seed=1).requires_grad_()
    held = gain_of(weight, x, (1, 1))
    function = lambda x, w: by_frequencies(x, w, held, (1, 1), range(1, 4), range(0, 4, 2))  # noqa: E731
    assert torch.autograd.gradcheck(function, (x, weight))
    assert torch.autograd.gradgradcheck(function, (x, weight))
    assert torch.autograd.gradgradcheck(lambda x: function(x, weight.detach()), (x,))


def test_a_zero_filter_gives_exact_zeros() -> None:
    x, weight = normal(2, 3, 5, 5), normal(4, 3, 3, 3, seed=1)
    weight[2] = 0
    z, dx, dweight = values(by_frequencies, x, weight, (1, 1), (range(1, 6), range(1, 6)))
    assert (z[:, 2] == 0).all()
    assert dx.isfinite().all()
    assert dweight.isfinite().all()


def test_the_result_may_be_changed_in_place_as_an_activation_does() -> None:
    x, weight = normal(2, 2, 4, 4).requires_grad_(), normal(3, 2, 3, 3, seed=1)
    z = by_frequencies(x, weight, gain_of(weight, x, (1, 1)), (1, 1), range(6), range(6))
    torch.relu_(z).sum().backward()
    assert x.grad is not None


def test_an_image_s_result_does_not_depend_on_its_batch() -> None:
    x, weight = normal(64, 16, 8, 8, dtype=torch.float32), normal(32, 16, 3, 3, seed=1).float()
    args = (weight, gain_of(weight, x, (1, 1)), (1, 1), range(1, 9), range(1, 9))
    whole = by_frequencies(x, *args)
    for part, of_whole in zip(x.split(16), whole.split(16), strict=True):
        assert torch.equal(by_frequencies(part, *args), of_whole)


class TestTheChoice:
    """When frequencies are taken: counted, not timed."""

    @pytest.fixture(autouse=True)
    def _by_what_it_costs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()

    def taken(self, module: ConvNorm2d, x: Tensor) -> bool:
        out = module(x.requires_grad_())
        names, todo = set(), [out.grad_fn]
        while todo:
            node = todo.pop()
            if node is not None:
                names.add(node.name())
                todo += [source for source, _ in node.next_functions]
        return "_FourierConvBackward" in names

    def test_layers_of_a_resnet_are_convolved_by_frequencies(self) -> None:
        for inputs, outputs, side in ((3, 64, 32), (64, 64, 32), (64, 128, 32), (512, 512, 4)):
            module = ConvNorm2d(inputs, outputs, 3, padding=1)
            assert self.taken(module, torch.randn(MIN_BATCH, inputs, side, side))

    def test_few_images_and_many_inputs_of_few_outputs_are_not(self) -> None:
        few = torch.randn(MIN_BATCH - 1, 64, 8, 8)
        assert not self.taken(ConvNorm2d(64, 64, 3, padding=1), few)
        assert not self.taken(ConvNorm2d(64, 4, 3), torch.randn(16, 64, 16, 16))

    def test_half_precision_groups_large_planes_and_a_gain_with_gradient_are_not(self) -> None:
        x = torch.randn(16, 32, 8, 8)
        plain = {"in_channels": 32, "out_channels": 32, "kernel_size": 3}
        assert self.taken(ConvNorm2d(**plain), x)
        with torch.autocast("cpu", torch.bfloat16):
            assert not self.taken(ConvNorm2d(**plain), x)
        assert not self.taken(ConvNorm2d(**plain).bfloat16(), x.bfloat16())
        assert not self.taken(ConvNorm2d(**plain, groups=2), x)
        assert not self.taken(ConvNorm2d(**plain, detach=False), x)
        assert not self.taken(ConvNorm2d(**plain), torch.randn(16, 32, 3, 70))

    def test_the_layer_is_the_same_either_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(0)
        module = ConvNorm2d(16, 24, 3, stride=2, padding=1).double().eval()
        x = normal(16, 16, 9, 8)
        assert self.taken(module, x)
        expected = module(x)
        monkeypatch.setattr(fourier_conv, "_pays", lambda *_: False)
        torch.testing.assert_close(module(x), expected)

    def test_a_weight_of_another_dtype_than_the_image_is_an_error_as_with_a_convolution(
        self,
    ) -> None:
        module = ConvNorm2d(16, 16, 3).double()
        with pytest.raises(RuntimeError):
            module(torch.randn(16, 16, 8, 8))
        with pytest.raises(RuntimeError):
            nn.Conv2d(16, 16, 3).double()(torch.randn(16, 16, 8, 8))


def test_a_weight_that_made_the_image_too_gets_each_gradient_once() -> None:
    def twice(function: Any, create_graph: bool) -> Tensor:
        weight = normal(4, 4, 3, 3, seed=1).requires_grad_()
        gain = gain_of(weight, normal(2, 4, 6, 6), (1, 1))
        window = (range(1, 7), range(1, 7))
        once = function(normal(2, 4, 6, 6), weight, gain, (1, 1), *window)
        loss = function(once, weight, gain, (1, 1), *window).square().sum()
        (found,) = torch.autograd.grad(loss, weight, create_graph=create_graph)
        return found.detach()

    expected = twice(by_definition, False)
    torch.testing.assert_close(twice(by_frequencies, False), expected)
    torch.testing.assert_close(twice(by_frequencies, True), expected)
