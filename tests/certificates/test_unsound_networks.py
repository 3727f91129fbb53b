"""Networks that hide what they do from a proof: each is refused, by name where it has one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.backbones.lipschitz_convnet import Householder, MaxMin
from robench.base import LayerBound
from robench.certificates import certify
from robench.certificates.layers import bound_of
from robench.errors import UserError
from robench.models.build import Normalize

SHAPE = (1, 4, 4)


def head(features: int = 16) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 3))


class Stating(nn.Module):
    """States a constant of 1, whatever its function does."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        return LayerBound(norm=1.0)


class FiveTimesOnTheWay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 5 * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


LYING: dict[str, Callable[[Tensor], Tensor]] = {
    "is steep only far from zero": lambda x: x + 9 * F.relu(x - 30),
    "is steep beyond a bend": lambda x: x + 9 * F.relu(x - 0.9),
    "has steps": lambda x: torch.round(4 * x) / 4,
    "cuts its gradient": lambda x: 5 * x.detach(),
    "cuts most of its gradient": lambda x: x + 4 * x.detach(),
    "has a gradient of its own": FiveTimesOnTheWay.apply,
    "does more without gradients": lambda x: x if torch.is_grad_enabled() else 3 * x,
    "computes in float32": lambda x: x.float().to(x.dtype),
    "repeats its input": lambda x: torch.cat([x, x], 1),
}


@pytest.mark.parametrize("function", LYING.values(), ids=LYING)
def test_unsound_a_layer_that_states_one_is_refused_if_it(
    function: Callable[[Tensor], Tensor],
) -> None:
    model = nn.Sequential(nn.Identity(), Stating(function), nn.Flatten(), nn.LazyLinear(3))
    model(torch.zeros(1, *SHAPE))
    with pytest.raises(UserError, match=r"layer '1': its norm is at least .*, more than the 1"):
        certify(model, SHAPE)


def test_a_layer_without_a_derivative_is_refused() -> None:
    with pytest.raises(UserError, match=r"layer '0': it has no derivative \(.*cannot be put to"):
        certify(nn.Sequential(Stating(torch.Tensor.detach), head()), SHAPE)


class Moody(Stating):
    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else 3 * x


def test_unsound_a_layer_that_changes_in_evaluation_is_found_out() -> None:
    with pytest.raises(UserError, match="at least 3, more than the 1 that it states"):
        certify(nn.Sequential(Moody(nn.Identity()), head()).train(), SHAPE)


@pytest.mark.parametrize("layer", [MaxMin(), Householder(3)], ids=["MaxMin", "Householder"])
def test_unsound_pairs_of_an_odd_number_of_channels_are_found_out(layer: nn.Module) -> None:
    with pytest.raises(UserError, match="layer '1': its norm is at least"):
        certify(nn.Sequential(nn.Conv2d(1, 3, 1), layer, head(64)), SHAPE)


def hooked(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, given, result: 5 * result)
    return layer


def hooked_before(layer: nn.Module) -> nn.Module:
    layer.register_forward_pre_hook(lambda module, given: (5 * given[0],))
    return layer


def with_another_forward(layer: nn.Module) -> nn.Module:
    forward = layer.forward
    layer.forward = lambda x: 5 * forward(x)
    return layer


def with_another_convolution(layer: nn.Module) -> nn.Module:
    convolve: Any = nn.Conv2d._conv_forward
    layer._conv_forward = lambda *given: 5 * convolve(layer, *given)
    return layer


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (hooked, "layer '0' has a hook"),
        (hooked_before, "layer '0' has a hook"),
        (with_another_forward, "the forward of layer '0' was replaced"),
        (with_another_convolution, "the method '_conv_forward' of layer '0' was replaced"),
    ],
)
@pytest.mark.parametrize("layer", [nn.ReLU, nn.Identity, lambda: nn.Conv2d(1, 1, 1)])
def test_unsound_a_layer_whose_forward_is_not_its_class_s_is_refused(
    change: Callable[[nn.Module], nn.Module], sentence: str, layer: Callable[[], nn.Module]
) -> None:
    if change is with_another_convolution and not isinstance(layer(), nn.Conv2d):
        return
    with pytest.raises(UserError, match=sentence):
        certify(nn.Sequential(change(layer()), head()), SHAPE)


def test_unsound_a_hook_of_the_whole_network_is_refused() -> None:
    with pytest.raises(UserError, match="the model has a hook, so that what is proved"):
        certify(hooked(nn.Sequential(nn.Identity(), head())), SHAPE)


def test_hooks_that_compute_weights_are_followed() -> None:
    layer = torch.nn.utils.spectral_norm(nn.Conv2d(1, 1, 3, padding=1))
    assert certify(nn.Sequential(layer, head()), SHAPE).lipschitz > 0


class Net(nn.Module):
    """A convolution and a head; what is between is told by a function of both."""

    def __init__(self, wiring: Callable[..., Tensor]) -> None:
        super().__init__()
        self.wiring = wiring
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(16, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.wiring(self, x)


def aliased(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    before = y
    y += x
    return net.head(torch.flatten(before, 1))


def broadcast(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.flatten(x + net.pool(x), 1))


def not_convex(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.flatten(0.7 * x + 0.7 * net.conv(x), 1))


def weighted(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.flatten(torch.add(x, net.conv(x), alpha=5), 1))


def bits(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.flatten(x.view(torch.int64).view(torch.float64), 1))


def batch_as_rows(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.flatten(net.conv(x.view(1, 1, 4, -1)).view(-1, 1, 4, 4), 1))


def batch_as_columns(net: Net, x: Tensor) -> Tensor:
    return net.head(x.view(16, -1).view(-1, 16))


def one_row(net: Net, x: Tensor) -> Tensor:
    return net.head(x.view(1, -1))


def without_channels(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.flatten(net.conv(x.view(-1, 4, 4)), 1))


@pytest.mark.parametrize(
    ("wiring", "sentence"),
    [
        (aliased, "does it change a value in place that it uses again"),
        (broadcast, r"the sum of values of shapes \(1, 4, 4\) and \(1, 1, 1\)"),
        (not_convex, "for the operation 'mul'"),
        (weighted, "for the operation 'add'"),
        (bits, "the operation 'view' of the network, which mixes the images of a batch or reads"),
        (batch_as_rows, "answers an image differently in a batch with others"),
        (batch_as_columns, "the operation 'view' of the network, which mixes the images of a batc"),
        (one_row, "does not take a batch of images"),
        (without_channels, r"layer 'conv': it takes \(channels, height, width\), and is given"),
    ],
)
def test_unsound_wirings_are_refused(wiring: Callable[..., Tensor], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        certify(Net(wiring), SHAPE)


def test_unsound_a_layer_that_looks_at_the_size_of_its_batch_is_found_out() -> None:
    crowd = Stating(lambda x: 3 * x if len(x) > 4 else x)
    certificate = certify(nn.Sequential(crowd, head()), SHAPE)
    certificate.predict(torch.rand(4, *SHAPE))
    with pytest.raises(UserError, match="answers an image differently in a batch with others"):
        certificate.predict(torch.rand(5, *SHAPE))


def test_unsound_a_standard_deviation_below_zero_bounds_as_one_above() -> None:
    below, above = (
        bound_of(Normalize((0.5,), (std,)).double(), SHAPE) for std in (-0.25, 0.25)
    )  # fmt: skip
    assert below.norm == above.norm >= 4


def test_unsound_a_bias_is_added_at_every_place_of_a_map() -> None:
    layer = nn.Linear(4, 4).double()
    once, sixteen = (bound_of(layer, shape).shift for shape in ((4,), (4, 4, 4)))
    assert sixteen == pytest.approx(4 * once)


def test_unsound_images_of_another_shape_or_range_have_no_radius() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AdaptiveAvgPool2d(1), head(1))
    certificate = certify(model, SHAPE)
    for images, sentence in (
        (torch.rand(2, 1, 9, 9), r"of images of shape \(1, 4, 4\), and these are \(1, 9, 9\)"),
        (255 * torch.rand(2, *SHAPE), r"must lie in \[0, 1\]: divide by 255"),
        (torch.full((2, *SHAPE), torch.nan), "has NaN or infinite pixels"),
    ):
        with pytest.raises(UserError, match=sentence):
            certificate.radii(images, torch.zeros(2).long())


def test_unsound_weights_edited_in_place_are_proved_anew() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).requires_grad_(False)
    before = certify(model, SHAPE)
    model[1].weight.data.mul_(3)
    assert certify(model, SHAPE).lipschitz == pytest.approx(3 * before.lipschitz)
    assert before.lipschitz == pytest.approx(certify(before.network, SHAPE).lipschitz)


def test_unsound_a_layer_that_is_used_twice_counts_twice() -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    assert certify(nn.Sequential(layer, nn.Identity(), layer), SHAPE).lipschitz >= 9


def test_networks_that_cannot_be_copied_are_refused() -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        layer = torch.nn.utils.weight_norm(nn.Conv2d(1, 1, 3, padding=1))
    with pytest.raises(UserError, match="the network cannot be copied"):
        certify(nn.Sequential(layer, head()), SHAPE)


class Shifted(nn.Module):
    """Takes a number besides the images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = head()

    def forward(self, x: Tensor, shift: float = 0.0) -> Tensor:
        logits: Tensor = self.head(x + shift)
        return logits


class Unused(Shifted):
    def forward(self, x: Tensor, shift: float = 0.0) -> Tensor:
        logits: Tensor = self.head(x)
        return logits


def test_nothing_is_proved_of_an_argument_besides_the_images() -> None:
    with pytest.raises(UserError, match="no bound is proved for the operation 'add'"):
        certify(Shifted(), SHAPE)
    assert certify(Unused(), SHAPE).lipschitz > 0


class LooksAtTheType(nn.Module):
    """Inverts bright images, which tracing does not see: what it is given is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.head = head()

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(x, Tensor):
            x = torch.where(x.amin((1, 2, 3), keepdim=True) > 0.5, 1 - x, x)
        return self.head(x)


def test_unsound_code_that_tracing_does_not_see_is_found_out_at_the_image_that_shows_it() -> None:
    certificate = certify(LooksAtTheType(), SHAPE)  # no random image is bright
    images = torch.rand(20, *SHAPE)
    assert certificate.predict(images).shape == (20, 3)
    images[7] = images[7].clamp_min(0.51)
    with pytest.raises(UserError, match=r"computes something else than .* that were followed"):
        certificate.predict(images)


class ChangesItsMind(nn.Module):
    """Uses another head from its twelfth call on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.first, self.second = 0, head(), head()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.first(x) if self.calls < 12 else self.second(x)


def test_unsound_a_network_that_changes_with_its_calls_is_found_out() -> None:
    certificate = certify(ChangesItsMind(), SHAPE)
    images = torch.rand(20, *SHAPE)
    for _ in range(3):  # with the certificate's own calls, the twelfth is still to come
        certificate.predict(images)
    with pytest.raises(UserError, match=r"computes something else .*keep a state"):
        [certificate.predict(images) for _ in range(9)]


class KeepsItsDropout(nn.Module):
    """Its dropout drops in evaluation, too, if seldom."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.head = nn.Dropout(1e-6), head()

    def train(self, mode: bool = True) -> "KeepsItsDropout":
        super().train(mode)
        self.drop.train()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(x))


def test_unsound_a_layer_that_stays_in_training_mode_is_refused() -> None:
    with pytest.raises(UserError, match=r"layer 'drop': it stays in training mode after eval\(\)"):
        certify(KeepsItsDropout(), SHAPE)


@pytest.mark.parametrize("scale", [1.0, 1e-165, 1e-200])
def test_unsound_a_scale_of_the_logits_leaves_the_radii_as_they_are(scale: float) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False)).double()
    images = torch.rand(10, *SHAPE)
    labels = model(images.double()).argmax(1)
    wanted = certify(model, SHAPE).radii(images, labels)
    with torch.no_grad():
        model[1].weight.mul_(scale)
    torch.testing.assert_close(
        certify(model, SHAPE).radii(images, labels), wanted, atol=0, rtol=1e-4
    )
