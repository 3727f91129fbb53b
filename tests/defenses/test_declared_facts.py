"""The properties that entries declare hold for every convolution."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.base import ConvDefense, Supports
from robench.entries import missing_package
from robench.registry import defenses
from robench.training.averaging import Average

ALL = [name for name in defenses if not missing_package(defenses.get(name))]
PLAIN = {"in_channels": 8, "out_channels": 12, "kernel_size": 3, "padding": 1, "bias": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reducing": {"out_channels": 4},
    "square": {"out_channels": 8},
    "stride": {"stride": 2},
    "groups": {"groups": 2},
    "dilation": {"dilation": 2, "padding": 2},
    "pointwise": {"kernel_size": 1, "padding": 0},
    "strided_pointwise": {"kernel_size": 1, "padding": 0, "stride": 2},
}
FACT = {"stride": "stride", "groups": "groups", "dilation": "dilation", "pointwise": "pointwise"}


def conv(variant: str) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(**(PLAIN | VARIANTS[variant]))


def alone(name: str, variant: str) -> nn.Module:
    """Return a defended convolution without a norm layer."""
    own = issubclass(defenses.get(name).build, ConvDefense)
    return apply_defense(nn.Sequential(conv(variant)), f"{name}(bn=false)" if own else name)


def refused(name: str, variant: str) -> bool:
    supports: Supports = defenses.get(name).build.supports
    return variant in FACT and not getattr(supports, FACT[variant])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ALL)
def test_it_takes_the_convolutions_that_it_says_and_refuses_the_others(
    name: str, variant: str
) -> None:
    if refused(name, variant):
        with pytest.raises(UserError, match="layer '0', Conv2d"):
            alone(name, variant)
        return
    layer = alone(name, variant).train()
    x = torch.randn(3, 8, 9, 9, requires_grad=True)
    y = layer(x)
    assert y.shape == conv(variant)(x).shape
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    for key, parameter in layer.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


def expansion(layer: nn.Module, size: int) -> Tensor:
    """Return the largest stretch factor of the layer over many differences."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, size, size, generator=generator)
    y = x + 0.01 * torch.randn(64, 8, size, size, generator=generator)
    for _ in range(8):  # follow the gradient of the stretch, a power iteration in effect
        x, y = x.requires_grad_(), y.detach()
        difference = (layer(x) - layer(y)).flatten(1).norm(dim=1)
        (gradient,) = torch.autograd.grad(difference.sum(), x)
        step = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
        x = (y + 0.5 * step).detach()
    with torch.no_grad():
        difference = (layer(x) - layer(y)).flatten(1).norm(dim=1)
    return (difference / (x - y).flatten(1).norm(dim=1)).max()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", [n for n in ALL if defenses.get(n).build.strict_lipschitz])
def test_layers_that_claim_a_lipschitz_constant_of_one_have_it(name: str, variant: str) -> None:
    if refused(name, variant):
        pytest.skip("refused")
    layer = alone(name, variant).train()
    for _ in range(3):
        layer(torch.randn(4, 8, 9, 9))
    layer.eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad and defenses.get(name).build.requires == "":
                parameter.mul_(3)  # whatever the training makes of them
    assert expansion(layer, 9) <= 1 + 1e-4
    assert expansion(layer, 4) <= 1 + 1e-4


@pytest.mark.parametrize("name", [n for n in ALL if not defenses.get(n).build.strict_lipschitz])
def test_layers_that_claim_none_can_be_stretched_beyond_one(name: str) -> None:
    layer = alone(name, "square").eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.mul_(3)
    assert expansion(layer, 9) > 1


@pytest.mark.parametrize("name", [n for n in ALL if defenses.get(n).build.requires == ""])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    if name == "convnorm":
        name = "convnorm(detach=false, eval_stats='exact')"
    layer = apply_defense(nn.Sequential(conv("square"), nn.BatchNorm2d(8)), name).double().eval()
    x = torch.randn(1, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,), fast_mode=True)
    state = {k: v.detach().clone().requires_grad_() for k, v in layer.named_parameters()}
    buffers = {k: v.clone() for k, v in layer.named_buffers()}

    def of_parameters(*values: Tensor) -> Tensor:
        given = dict(zip(state, values, strict=True))
        out: Tensor = torch.func.functional_call(layer, {**buffers, **given}, (x.detach(),))
        return out

    assert torch.autograd.gradcheck(of_parameters, tuple(state.values()), fast_mode=True)


@pytest.mark.parametrize("name", [n for n in ALL if not defenses.get(n).build.stateful_in_training])
def test_layers_without_state_do_the_same_in_training_and_evaluation(name: str) -> None:
    layer = alone(name, "square")
    x = torch.randn(4, 8, 6, 6)
    torch.testing.assert_close(layer.train()(x), layer.eval()(x))


@pytest.mark.parametrize("name", ALL)
def test_states_fit_whatever_the_size_of_the_images_was(name: str) -> None:
    layer, fresh = alone(name, "square"), alone(name, "square")
    layer.train()(torch.randn(4, 8, 9, 9))
    fresh.train()(torch.randn(4, 8, 6, 6))
    fresh.load_state_dict(layer.state_dict())
    x = torch.randn(2, 8, 7, 7)
    torch.testing.assert_close(fresh.eval()(x), layer.eval()(x))


def test_bf16_is_refused_by_those_that_do_not_support_it() -> None:
    from robench.board.recipes import recipe_for
    from robench.board.specs import TrainingSpec

    bf16 = TrainingSpec(precision="bf16")
    for name in ALL:
        entry = defenses.get(name).build()
        if entry.supports.mixed_precision:
            assert recipe_for(bf16, entry, {}).precision == "bf16"
            continue
        assert recipe_for(bf16, entry, {}).precision == "float32", "its own recipe says so"
        with pytest.raises(UserError, match="does not support mixed precision"):
            recipe_for(bf16, entry, {"precision": "bf16"})


@pytest.mark.parametrize("name", ALL)
def test_averaged_weights_are_those_that_are_evaluated_or_are_refused(name: str) -> None:
    from robench.board.recipes import recipe_for
    from robench.board.specs import TrainingSpec

    entry = defenses.get(name).build()
    if not entry.supports.averaging:
        with pytest.raises(UserError, match=r"averaging = 0\.9: .* no average of its weights"):
            recipe_for(TrainingSpec(averaging=0.9), entry, {})
        return
    layer = alone(name, "square").train()
    average = Average(layer, 0.5)
    x = torch.rand(2, 8, 7, 7)
    layer(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.rand_like(parameter))
    average.update()
    own = layer.eval()(x)
    with average.in_place():
        assert not torch.allclose(layer(x), own)
    assert torch.equal(layer(x), own)


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("parseval(rate=-1)", "rate is -1: it must be 0 or more"),
        ("ocnn(strength=-0.1)", r"strength is -0\.1: it must be 0 or more"),
        ("ocnn_paper(strength=-1)", "strength is -1: it must be 0 or more"),
        ("soft_orthogonal(strength=-1)", "strength is -1: it must be 0 or more"),
        ("oni(scale=0)", "scale is 0: it must be above 0"),
        ("bro(rank=1)", "rank is 1: it must be above 0 and below 1"),
        ("lot(steps=0)", "steps is 0: it must be 1 or more"),
        ("soc(degree=5)", "degree is 5: it must be one of 4, 8, 12"),
    ],
)
def test_a_weight_that_would_work_against_the_defense_is_refused(
    expression: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        defenses.build(expression)
    defenses.build(expression.partition("(")[0])
