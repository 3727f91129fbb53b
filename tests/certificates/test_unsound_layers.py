"""Layers and calls of them that do more than their bound says: refused, or bounded right."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench.base import LayerBound
from robench.certificates import Certificate, certify
from robench.errors import UserError
from robench.models.build import Normalize

SHAPE = (1, 4, 4)


def steepest(certificate: Certificate) -> float:
    """Return the norm of the derivative at a point of the box, which no bound may undercut."""
    point = torch.full((1, *certificate.image_shape), 0.4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(certificate.network, point)
    return float(torch.linalg.matrix_norm(jacobian.reshape(-1, point.numel()), 2))


class Stated(nn.Module):
    """States a constant of 1, which it has if it is called with one value."""

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        return LayerBound(norm=1.0)


class FiveTimes(nn.Linear):
    """A last layer whose weight is not what it multiplies by; its stated bound is right."""

    def forward(self, x: Tensor) -> Tensor:
        return 5 * super().forward(x)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        norm = 5.001 * float(torch.linalg.matrix_norm(self.weight, 2))
        return LayerBound(norm, 5 * float(self.weight.abs().sum()), 20, 5 * float(self.bias.norm()))


def test_unsound_a_last_layer_that_is_not_the_product_with_its_weight_has_its_own_bound() -> None:
    certificate = certify(nn.Sequential(nn.Flatten(), FiveTimes(16, 3)), SHAPE)
    images = torch.rand(64, *SHAPE)
    labels = certificate.predict(images).argmax(1)
    radii = certificate.radii(images, labels)
    weight, logits = 5 * certificate.own[1].weight, certificate.predict(images)
    rows, index = torch.arange(64), labels[:, None]
    apart = (weight[labels, None] - weight).norm(dim=2)  # the network is linear
    boundary = (logits.gather(1, index) - logits) / apart.scatter(1, index, 1)
    boundary[rows, labels] = torch.inf
    assert (radii > 0).any()
    assert (radii <= boundary.amin(1)).all()


@pytest.mark.parametrize(
    ("means", "values"), [(3, (0.5, 0.4, 0.2)), (1, (0.25,)), (3, (0.25,)), (1, (0.5, 0.4, 0.2))]
)
def test_unsound_one_channel_that_is_normalized_to_several_moves_with_each(
    means: int, values: tuple[float, ...]
) -> None:
    channels = max(means, len(values))
    network = nn.Sequential(
        Normalize((0.5,) * means, values), nn.Conv2d(channels, 1, 1), nn.Flatten()
    )
    nn.init.ones_(network[1].weight)
    certificate = certify(network, SHAPE)
    assert steepest(certificate) <= certificate.lipschitz


def test_unsound_a_weight_of_another_size_than_its_convolution_tells_is_refused() -> None:
    layer = nn.Conv2d(1, 1, 1, padding=1, bias=False)
    layer.weight = nn.Parameter(torch.ones(1, 1, 3, 3))
    with pytest.raises(UserError, match=r"layer '0': its weight has the shape \(1, 1, 3, 3\), and"):
        certify(nn.Sequential(layer, nn.Flatten()), SHAPE)


class Gain(Stated):
    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        return gain * x


class Sum(Stated):
    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        return x if other is None else x + other


class Net(nn.Module):
    def __init__(self, layer: nn.Module, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.layer, self.head = nn.Conv2d(1, 1, 3, padding=1), layer, nn.Linear(16, 3)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.call(self.layer, self.conv(x)), 1))


@pytest.mark.parametrize(
    ("layer", "call"),
    [
        (Gain(), lambda layer, x: layer(x, 5.0)),
        (Gain(), lambda layer, x: layer(x, gain=5.0)),
        (Sum(), lambda layer, x: layer(x, x)),
    ],
    ids=["a number", "a keyword", "the value twice"],
)
def test_unsound_a_layer_that_is_called_with_more_than_one_value_is_refused(
    layer: nn.Module, call: Callable[[nn.Module, Tensor], Tensor]
) -> None:
    with pytest.raises(UserError, match="layer 'layer' is called with more than the value before"):
        certify(Net(layer, call), SHAPE)


def added_to_what_it_changed(layer: nn.Module, x: Tensor) -> Tensor:
    changed = layer(x)
    return x + changed


def changed_behind_a_view(layer: nn.Module, x: Tensor) -> Tensor:
    flat = torch.flatten(x, 1)
    changed = layer(x)
    return flat + torch.flatten(changed, 1)


@pytest.mark.parametrize("call", [added_to_what_it_changed, changed_behind_a_view])
def test_unsound_a_value_that_was_changed_in_place_is_not_used_again(
    call: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    with pytest.raises(UserError, match="changed in place before; change no value in place that"):
        certify(Net(nn.LeakyReLU(5.0, inplace=True), call), SHAPE)


def test_layers_in_place_are_followed_where_nothing_uses_what_they_change() -> None:
    certificate = certify(Net(nn.ReLU(inplace=True), lambda layer, x: layer(x)), SHAPE)
    assert steepest(certificate) <= certificate.lipschitz


class Stealthy(Stated):
    """Multiplies what it is given, and returns it."""

    def forward(self, x: Tensor) -> Tensor:
        x.data.mul_(3)
        return x


def test_unsound_a_layer_that_writes_into_its_input_is_found_out() -> None:
    with pytest.raises(UserError, match="its norm is at least 3, more than the 1 that it states"):
        certify(Net(Stealthy(), lambda layer, x: layer(x)), SHAPE)


class Sole(Stated):
    """Raises what has no message, as an assertion does."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            raise AssertionError
        return x


class OwnTensor(Stated):
    """Has a tensor that no module knows, and so stays float32."""

    def __init__(self) -> None:
        super().__init__()
        self.own = torch.eye(4)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.own


@pytest.mark.parametrize(
    ("layer", "call", "sentence"),
    [
        (nn.Identity(), lambda layer, x: x / x.max(), "the operation 'max' of the network"),
        (nn.Identity(), lambda layer, x: x - x.mean(), "the operation 'mean' of the network"),
        (Sole(), lambda layer, x: layer(x), r"'layer' of the network cannot be .* \(AssertionErr"),
        (OwnTensor(), lambda layer, x: layer(x), "'layer' of the network cannot be computed of on"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_one_sentence(
    layer: nn.Module, call: Callable[[nn.Module, Tensor], Tensor], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        certify(Net(layer, call), SHAPE)


class Stored(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.head = nn.Parameter(torch.full((1,), 3.0)), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.scale * x, 1))


def test_a_stored_value_in_a_forward_is_named() -> None:
    with pytest.raises(UserError, match="a stored value in a forward, as 'scale' is"):
        certify(Stored(), SHAPE)


def test_a_bias_that_is_no_number_is_said_to_be() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    nn.init.constant_(network[1].bias, torch.nan)
    with pytest.raises(UserError, match="a weight is NaN or infinite"):
        certify(network, SHAPE)
