"""ConvNorm against dense linear algebra, in float64: the properties P1 to P13 of its maths."""

import copy
import itertools
import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from robench.defenses import ConvNorm2d
from robench.kernels.plane_filter import PlaneGain, filter_planes, plane_gain
from robench.layers.convnorm import averaging_rate, gain
from robench.layers.kernel_spectrum import autocorrelation, power_spectrum

N = 6
shapes = st.tuples(
    st.integers(1, 4), st.integers(1, 4), st.sampled_from([(3, 3), (2, 3), (1, 2)]),
    st.integers(0, 1000),
)  # fmt: skip
Shape = tuple[int, int, tuple[int, int], int]


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def kernel(shape: Shape) -> Tensor:
    out, inputs, size, seed = shape
    return normal(out, inputs, *size, seed=seed)


def v_of(weight: Tensor, n: int = N) -> Tensor:
    return gain(power_spectrum(autocorrelation(weight), (n, n), (1, 1)))


def circular_conv(x: Tensor, weight: Tensor) -> Tensor:
    """Circular convolution on the N x N grid, (B, in, N, N) -> (B, out, N, N)."""
    product = torch.einsum("oikl,bikl->bokl", torch.fft.rfft2(weight, s=(N, N)), torch.fft.rfft2(x))
    return torch.fft.irfft2(product, s=(N, N))


def dense_a(weight: Tensor) -> list[Tensor]:
    """Return the matrix A_o (N^2, in N^2) of each output channel."""
    out, inputs = weight.shape[:2]
    identity = torch.eye(inputs * N * N, dtype=torch.float64).view(-1, inputs, N, N)
    columns = circular_conv(identity, weight)
    return [columns[:, o].reshape(-1, N * N).T for o in range(out)]


def dense_q(weight: Tensor) -> list[Tensor]:
    """Return the matrix Q_o (N^2, N^2) of each channel's filter, as the layer applies it."""
    out = len(weight)
    identity = torch.eye(N * N, dtype=torch.float64).view(-1, 1, N, N).expand(-1, out, N, N)
    columns = filter_planes(identity, plane_gain(v_of(weight), (N, N)), range(N), range(N))
    return [columns[:, o].reshape(-1, N * N).T for o in range(out)]


def layer(conv: nn.Conv2d, **options: Any) -> ConvNorm2d:
    return ConvNorm2d.from_conv(conv.double(), **options)


def without_gain(module: ConvNorm2d) -> ConvNorm2d:
    """Make V == 1, which leaves the plain convolution."""

    def ones(size: tuple[int, int]) -> PlaneGain:
        gain = torch.ones(module.out_channels, size[0], size[1] // 2 + 1, dtype=torch.float64)
        return plane_gain(gain, size)

    module._gain = ones  # type: ignore[method-assign]
    return module


# --- the operator ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(shapes)
def test_p1_each_channel_is_a_tight_frame(shape: Shape) -> None:
    weight = kernel(shape)
    for a, q in zip(dense_a(weight), dense_q(weight), strict=True):
        values, vectors = torch.linalg.eigh(a @ a.T)
        if values.min() < 1e-6 * values.max():
            continue  # a spectral null: V is held at its floor there
        torch.testing.assert_close(q @ a @ a.T @ q.T, torch.eye(N * N).double())
        torch.testing.assert_close(q, vectors @ torch.diag(values.rsqrt()) @ vectors.T)


@settings(deadline=None, max_examples=25)
@given(shapes)
def test_p2_rows_have_unit_norm_at_every_frequency(shape: Shape) -> None:
    weight = kernel(shape)
    if v_of(weight).max() > 1e4 * v_of(weight).min():
        return
    transfer = v_of(weight).unsqueeze(1) * torch.fft.rfft2(weight, s=(N, N))
    rows = transfer.abs().square().sum(1)
    torch.testing.assert_close(rows, torch.ones_like(rows))


@settings(deadline=None, max_examples=25)
@given(shapes)
def test_p3_the_norm_of_the_whole_lies_between_its_bounds(shape: Shape) -> None:
    weight = kernel(shape)
    if v_of(weight).max() > 1e4 * v_of(weight).min():
        return
    whole = torch.cat([q @ a for a, q in zip(dense_a(weight), dense_q(weight), strict=True)])
    sigma = torch.linalg.matrix_norm(whole, ord=2).item()
    out, inputs = weight.shape[:2]
    assert sigma <= math.sqrt(out) + 1e-9  # Proposition 3.1
    assert sigma >= math.sqrt(out / min(out, inputs)) - 1e-9


@settings(deadline=None, max_examples=25)
@given(shapes)
def test_p4_singular_values_are_those_of_each_frequency(shape: Shape) -> None:
    weight = kernel(shape)
    dense = torch.linalg.svdvals(torch.cat(dense_a(weight)))
    full = torch.fft.fft2(weight, s=(N, N)).permute(2, 3, 0, 1)
    frequencies = torch.linalg.svdvals(full).flatten().sort(descending=True).values
    torch.testing.assert_close(dense[: len(frequencies)], frequencies[: len(dense)])


@settings(deadline=None, max_examples=25)
@given(shapes, st.floats(0.01, 100))
def test_p5_it_depends_on_the_direction_of_each_filter_only(shape: Shape, scale: float) -> None:
    out, inputs, size, seed = shape
    conv = nn.Conv2d(inputs, out, size, padding=1, bias=False)
    conv.weight.data = kernel(shape)
    module, x = layer(conv, affine=False), normal(2, inputs, 5, 5, seed=seed + 1)
    before = module(x)
    module.weight.data *= scale
    torch.testing.assert_close(module(x), before, rtol=1e-6, atol=1e-8)
    module.weight.data.neg_()
    torch.testing.assert_close(module(x), -before, rtol=1e-6, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(shapes, st.integers(1, 3), st.integers(0, 2))
def test_p6_no_channel_is_longer_than_the_input(shape: Shape, stride: int, padding: int) -> None:
    out, inputs, size, seed = shape
    conv = nn.Conv2d(inputs, out, size, stride=stride, padding=padding, bias=False)
    conv.weight.data = kernel(shape)
    x = normal(2, inputs, 7, 5, seed=seed + 1)
    channels = layer(conv, affine=False)(x).square().sum((2, 3))
    assert (channels <= x.square().sum((1, 2, 3)).unsqueeze(1) * (1 + 1e-9)).all()


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5, (1, 3), (3, 1), (4, 3)])
@pytest.mark.parametrize("dilation", [1, 2, (1, 3)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_p7_without_the_gain_it_is_the_convolution(
    kernel_size: Any, dilation: Any, groups: int
) -> None:
    compared = 0
    for stride, padding in itertools.product(
        [1, 2, 3, (1, 2)], [0, 1, 2, (2, 1), 4, 7, "same", "valid"]
    ):
        if padding == "same" and stride != 1:
            continue
        conv = nn.Conv2d(4, 8, kernel_size, stride=stride, padding=padding, dilation=dilation,
                         groups=groups).double()  # fmt: skip
        x = normal(2, 4, 9, 11)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch on 'same' with even kernels
                expected = conv(x)
        except RuntimeError:
            continue  # smaller than the kernel
        module = without_gain(layer(conv, affine=False))
        torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-12)
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("stride", [1, 2])
def test_p7_padding_modes_are_those_of_the_convolution(mode: Any, stride: int) -> None:
    conv = nn.Conv2d(2, 3, 3, stride=stride, padding=(1, 2), padding_mode=mode).double()
    x = normal(2, 2, 7, 8)
    torch.testing.assert_close(without_gain(layer(conv, affine=False))(x), conv(x))


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), ((1, 2), 1)])
def test_p8_a_1x1_kernel_is_divided_by_its_norm(stride: Any, padding: Any) -> None:
    conv = nn.Conv2d(5, 7, 1, stride=stride, padding=padding, bias=False).double()
    x = normal(2, 5, 6, 7)
    norms = conv.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    expected = F.conv2d(x, conv.weight / norms, stride=stride, padding=padding)
    torch.testing.assert_close(layer(conv, affine=False)(x), expected)


def test_p9_in_one_dimension_dividing_by_the_spectrum_gives_an_orthogonal_circulant() -> None:
    taps = normal(1, 1, 1, 3)
    a = torch.fft.rfft2(taps, s=(1, 8))
    v = gain(power_spectrum(autocorrelation(taps), (1, 8), (1, 1)))
    row = torch.fft.irfft2(a[:, 0] * v, s=(1, 8))[0, 0]
    circulant = torch.stack([row.roll(shift) for shift in range(8)])
    torch.testing.assert_close(circulant @ circulant.T, torch.eye(8).double())


def test_p10_gradients_are_right_and_orthogonal_to_the_weight_only_without_detach() -> None:
    products = {}
    for detach in (True, False):
        torch.manual_seed(0)
        conv = nn.Conv2d(2, 3, 3, padding=1, bias=False).double()
        module = layer(conv, affine=False, detach=detach)
        module(normal(2, 2, 5, 5)).pow(3).sum().backward()
        assert module.weight.grad is not None
        products[detach] = (module.weight * module.weight.grad).sum().abs().item()
    assert products[False] < 1e-9  # a scale-invariant function has no radial gradient
    assert products[True] > 1e-3  # with V held constant it has: inherent to the method


@pytest.mark.parametrize("stride", [1, 2])
def test_p10_gradcheck(stride: int) -> None:
    conv = nn.Conv2d(2, 2, 3, stride=stride, padding=1)
    module = layer(conv, detach=False, eval_stats="exact").eval()
    x = normal(1, 2, 4, 5).requires_grad_()
    parameters = tuple(module.parameters())

    def function(x: Tensor, *values: Tensor) -> Tensor:
        names = [name for name, _ in module.named_parameters()]
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), x)

    assert torch.autograd.gradcheck(function, (x, *parameters))


def test_p11_an_all_pass_kernel_is_left_as_it_is_up_to_its_size_and_sign() -> None:
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False).double()
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 1] = 5.0
        conv.weight[1, 0, 0, 1] = -0.1
    x = normal(2, 1, 6, 6)
    y = layer(conv, affine=False)(x)
    torch.testing.assert_close(y[:, 0], x[:, 0])
    torch.testing.assert_close(y[:, 1, 1:], -x[:, 0, :-1])


def test_p13_one_input_on_the_full_grid_keeps_lengths() -> None:
    conv = nn.Conv2d(1, 3, 3, padding=2, bias=False).double()
    x = normal(2, 1, 9, 7)
    out = layer(conv, affine=False)(x)
    lengths = x.square().sum((1, 2, 3)).unsqueeze(1).expand(2, 3)
    torch.testing.assert_close(out.square().sum((2, 3)), lengths)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_the_layer_is_its_definition_by_fft(seed: int, affine: bool) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    module, x = layer(conv, affine=affine), normal(2, 3, 8, 7, seed=seed)
    y = F.conv2d(x, module.weight, padding=2)
    grid = torch.fft.rfft2(module.weight, s=(10, 9)).abs().square().sum(1).rsqrt()
    z = torch.fft.irfft2(torch.fft.rfft2(y) * grid, s=(10, 9))[..., 1:-1:2, 1:-1:2]
    assert module.bias is not None
    expected = z + module.bias.view(-1, 1, 1)
    torch.testing.assert_close(module(x), module.affine(expected))


def test_groups_are_normalized_by_their_own_inputs() -> None:
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False).double()
    x = normal(2, 4, 6, 6)
    whole = layer(conv, affine=False)(x)
    for group in range(2):
        part = nn.Conv2d(2, 3, 3, padding=1, bias=False).double()
        part.weight.data = conv.weight.data[3 * group : 3 * group + 3]
        expected = layer(part, affine=False)(x[:, 2 * group : 2 * group + 2])
        torch.testing.assert_close(whole[:, 3 * group : 3 * group + 3], expected)


# --- what the reference code got wrong ---------------------------------------------------------


def test_the_bias_is_added_after_the_normalization() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    conv.bias.data.fill_(1.0)  # type: ignore[union-attr]
    module, x = layer(conv, affine=False), normal(2, 2, 5, 5)
    with_bias = module(x)
    module.bias = None
    torch.testing.assert_close(with_bias, module(x) + 1.0)


@pytest.mark.parametrize("size", [1, 3])
def test_a_zero_filter_gives_zeros_and_finite_gradients(size: int) -> None:
    conv = nn.Conv2d(2, 3, size, padding=size // 2, bias=False)
    conv.weight.data[1] = 0
    module = ConvNorm2d.from_conv(conv, affine=False)
    out = module(torch.randn(2, 2, 5, 5))
    out.sum().backward()
    assert (out[:, 1] == 0).all()
    assert out.isfinite().all()
    assert module.weight.grad is not None
    assert module.weight.grad.isfinite().all()


def test_a_spectral_null_stays_finite() -> None:
    conv = nn.Conv2d(1, 1, (1, 2), bias=False).double()
    conv.weight.data = torch.tensor([[[[1.0, -1.0]]]], dtype=torch.float64)  # zero at f = 0
    assert layer(conv, affine=False)(torch.ones(1, 1, 4, 5).double()).isfinite().all()


def test_evaluation_before_any_training_uses_the_current_kernel() -> None:
    conv, x = nn.Conv2d(2, 3, 3, padding=1), normal(2, 2, 5, 5)
    module = layer(conv, affine=False)
    in_evaluation = module.eval()(x)
    torch.testing.assert_close(in_evaluation, module.train()(x))
    assert in_evaluation.abs().max() > 0.1


def test_a_kernel_that_does_not_fit_the_input_is_an_error_as_with_the_convolution() -> None:
    module = ConvNorm2d(1, 1, 5, padding=1)
    with pytest.raises(RuntimeError, match="5x5 pixels, more than the padded input of 4x4"):
        module(torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("size", [2, 3, 4, (2, 3), (5, 1)])
def test_the_delta_affine_changes_nothing(size: Any) -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(2, 3, size, padding=2, bias=False), normal(2, 2, 7, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with_delta = layer(conv, affine_init="delta")(x)
    torch.testing.assert_close(with_delta, layer(conv, affine=False)(x))


def test_the_default_affine_is_a_random_depthwise_convolution() -> None:
    affine = ConvNorm2d(2, 8, 3).affine
    assert isinstance(affine, nn.Conv2d)
    assert affine.groups == 8
    assert affine.bias is not None
    assert affine.weight.abs().max() <= 1 / 3  # the bound of torch's initialization at fan-in 9
    assert affine.weight.std() > 0.1


# --- statistics --------------------------------------------------------------------------------


def test_p12_the_rate_of_averaging_follows_the_schedule() -> None:
    forwards = torch.tensor([0, 5_000, 20_000, 30_000, 37_000, 40_000, 90_000])
    rates = averaging_rate(forwards, 40_000)
    expected = torch.tensor([1.0, 0.9619, 0.5, 0.1464, 0.0138, 0.01, 0.01])
    torch.testing.assert_close(rates, expected, atol=1e-4, rtol=0)


def test_p12_the_first_forward_fills_the_averages_and_later_ones_move_them() -> None:
    module = ConvNorm2d(2, 3, 3, total_forwards=10)
    x = torch.randn(1, 2, 5, 5)
    module(x)
    first = autocorrelation(module.weight.detach())
    torch.testing.assert_close(module.running_autocorr.double(), first.double())
    with torch.no_grad():
        module.weight.mul_(2)
    module(x)
    rate = 0.5 * (1 + math.cos(math.pi / 10))
    expected = (1 - rate) * first + rate * 4 * first
    torch.testing.assert_close(module.running_autocorr.double(), expected.double())
    assert module.num_forwards == 2


@pytest.mark.parametrize("stats", ["running_autocorr", "exact", "running_v"])
def test_p12_after_one_training_forward_evaluation_is_training(stats: Any) -> None:
    module = layer(nn.Conv2d(2, 3, 3, padding=1), eval_stats=stats)
    x = normal(2, 2, 6, 5)
    torch.testing.assert_close(module.train()(x), module.eval()(x))


@pytest.mark.parametrize("stats", ["running_autocorr", "exact", "running_v"])
def test_p12_the_state_dict_makes_the_same_layer_after_different_sizes(stats: Any) -> None:
    module = ConvNorm2d(2, 3, 3, padding=1, eval_stats=stats, total_forwards=8)
    for side in (6, 9, 6):
        module(torch.randn(1, 2, side, side))
        with torch.no_grad():
            module.weight.add_(0.1 * torch.randn_like(module.weight))
    fresh = ConvNorm2d(2, 3, 3, padding=1, eval_stats=stats)
    fresh.load_state_dict(module.state_dict())
    for side in (6, 9):
        x = torch.randn(1, 2, side, side)
        assert torch.equal(fresh.eval()(x), module.eval()(x))
    assert torch.equal(fresh.num_forwards, module.num_forwards)


def test_by_default_the_state_dict_has_a_fixed_shape_and_fits_any_input_size() -> None:
    module = ConvNorm2d(2, 3, (3, 2))
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    for side in (5, 8):
        module.train()(torch.randn(1, 2, side, side))
    assert {name: tensor.shape for name, tensor in module.state_dict().items()} == shapes
    assert shapes["running_autocorr"] == (3, 5, 3)
    assert module.eval()(torch.randn(1, 2, 11, 7)).isfinite().all()


def test_running_averages_lag_behind_a_moving_kernel_and_exact_ones_do_not() -> None:
    torch.manual_seed(0)
    outputs = {}
    for stats in ("running_autocorr", "exact"):
        module = ConvNorm2d(4, 4, 3, eval_stats=stats, affine=False, total_forwards=1)
        x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(1))
        module(x)
        with torch.no_grad():
            module.weight.mul_(3)
        module(x)  # rate 0.01: the averages hardly move
        outputs[stats] = (module.eval()(x), module.train()(x))
    torch.testing.assert_close(*outputs["exact"])
    assert not torch.allclose(*outputs["running_autocorr"], rtol=0.5)


def test_the_gain_kept_in_evaluation_follows_every_change() -> None:
    torch.manual_seed(0)
    module = ConvNorm2d(2, 3, 3, eval_stats="exact", affine=False).eval().requires_grad_(False)
    x = torch.randn(1, 2, 6, 6)

    def is_fresh() -> bool:
        return torch.equal(module(x), copy.deepcopy(module)(x))

    module(x)
    with torch.no_grad():
        module.weight[0, 0, 0, 0] += 1.0
    assert is_fresh()
    module.load_state_dict(ConvNorm2d(2, 3, 3, affine=False).state_dict())
    assert is_fresh()
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.weight[1] *= torch.linspace(0.1, 2, 9).view(3, 3)
    assert not torch.allclose(twin(x), module(x))
    module.double()
    assert module(x.double()).dtype == torch.float64
    assert module(torch.randn(1, 2, 9, 7).double()).shape == (1, 3, 7, 5)


def test_writes_to_the_data_of_a_weight_in_training_are_seen_in_evaluation() -> None:
    module, x = ConvNorm2d(2, 3, 3, affine=False, bias=False).eval(), torch.randn(1, 2, 6, 6)
    before = module(x)
    module.weight.data *= 3  # as averages of weights are swapped in; scale changes nothing
    torch.testing.assert_close(module(x), before)


def test_a_running_v_begun_in_inference_mode_is_averaged_on() -> None:
    module = ConvNorm2d(2, 3, 3, eval_stats="running_v").train()
    with torch.inference_mode():
        module(torch.rand(2, 2, 6, 6))
    module(torch.rand(2, 2, 6, 6)).sum().backward()
    assert module.num_forwards == 2


def test_a_running_v_that_was_never_averaged_is_an_error() -> None:
    module = ConvNorm2d(2, 3, 3, eval_stats="running_v")
    assert module.eval()(torch.randn(1, 2, 5, 5)).isfinite().all()  # never trained: current kernel
    module.train()(torch.randn(1, 2, 6, 6))
    with pytest.raises(RuntimeError, match=r"no running average of V exists for a grid of 11x11"):
        module.eval()(torch.randn(1, 2, 9, 9))


def test_a_state_of_other_sizes_replaces_those_seen() -> None:
    seen, other = (ConvNorm2d(2, 3, 3, eval_stats="running_v") for _ in range(2))
    seen(torch.randn(1, 2, 6, 6))
    other(torch.randn(1, 2, 9, 9))
    other.load_state_dict(seen.state_dict())
    assert set(other.state_dict()) == set(seen.state_dict())


def test_a_state_is_loaded_in_the_layer_s_dtype_and_a_part_of_one_leaves_averages() -> None:
    seen = ConvNorm2d(2, 3, 3, eval_stats="running_v")
    seen(torch.randn(1, 2, 6, 6))
    double = ConvNorm2d(2, 3, 3, eval_stats="running_v", dtype=torch.float64)
    double.load_state_dict(seen.state_dict())
    assert double.running_v_8x8.dtype == torch.float64  # type: ignore[union-attr]
    seen.load_state_dict({"weight": seen.weight}, strict=False)
    assert "running_v_8x8" in seen.state_dict()


def test_no_training_ahead_leaves_averages_finite() -> None:
    module = ConvNorm2d(2, 3, 3, total_forwards=0)
    module(torch.randn(1, 2, 6, 6))
    assert module.running_autocorr.isfinite().all()


def test_a_single_image_without_a_batch_is_taken_as_by_a_convolution() -> None:
    module, x = ConvNorm2d(2, 3, 3, stride=2, padding=1), torch.randn(2, 7, 6)
    assert torch.equal(module(x), module(x[None])[0])


def test_it_runs_in_inference_mode_and_trains_afterwards() -> None:
    module = ConvNorm2d(2, 3, 3)
    with torch.inference_mode():
        module.eval()(torch.randn(1, 2, 6, 6))
    module.eval()(torch.randn(1, 2, 6, 6).requires_grad_()).sum().backward()
    module.train()(torch.randn(1, 2, 6, 6)).sum().backward()


def test_evaluation_changes_no_buffer() -> None:
    module = ConvNorm2d(2, 3, 3).train()
    module(torch.randn(1, 2, 5, 5))
    before = copy.deepcopy(module.state_dict())
    module.eval()(torch.randn(1, 2, 7, 7))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


# --- as a module among others ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layouts_and_dtypes_give_the_same(dtype: torch.dtype, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    module = ConvNorm2d(3, 4, 3, stride=2, padding=1)
    x = normal(2, 3, 8, 8)
    reference = copy.deepcopy(module).double()(x)
    out = module.to(dtype)(x.to(dtype).to(memory_format=layout))
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), reference, rtol=1e-4, atol=1e-5)


def test_bf16_autocast_runs_forward_and_backward_and_stays_close() -> None:
    torch.manual_seed(0)
    module, x = ConvNorm2d(8, 8, 3, padding=1), torch.randn(4, 8, 8, 8)
    reference = module(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    torch.testing.assert_close(out.float(), reference, rtol=0.05, atol=0.05)


def test_a_model_wholly_in_bf16_runs() -> None:
    module = ConvNorm2d(8, 8, 3, padding=1).bfloat16()
    out = module(torch.randn(2, 8, 6, 6).bfloat16())
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()


def test_a_deep_copy_is_independent() -> None:
    module = ConvNorm2d(2, 2, 3)
    twin = copy.deepcopy(module)
    module(torch.randn(1, 2, 5, 5))
    assert module.num_forwards == 1
    assert twin.num_forwards == 0


def test_it_is_built_with_the_parameters_of_the_convolution() -> None:
    conv = nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 2), dilation=2, groups=2)
    module = ConvNorm2d.from_conv(conv)
    assert module.weight is conv.weight
    assert module.bias is conv.bias
    names = ["stride", "padding", "dilation", "groups", "kernel_size", "padding_mode"]
    assert all(getattr(module, name) == getattr(conv, name) for name in names)
