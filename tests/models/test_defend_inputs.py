"""Networks that a defense cannot be applied to, and defenses that return nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from robench import Defense
from robench.errors import UserError
from robench.models.defend import apply_defense

OLD_NORMS = (nn.utils.weight_norm, nn.utils.spectral_norm)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("norm", OLD_NORMS)
@pytest.mark.parametrize("defense", ["groupnorm", "batchnorm", "vanilla"])
def test_a_weight_that_torch_has_computed_is_copied(
    norm: Callable[[nn.Module], nn.Module], defense: str
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(norm(nn.Conv2d(1, 4, 3)), nn.BatchNorm2d(4), nn.Flatten())
    images = torch.rand(2, 1, 8, 8)
    net(images)  # as any network that was used once: the weight is now a computed tensor
    computed = net[0].weight
    made = apply_defense(net, defense).eval()
    assert net[0].weight is computed  # the network itself is left as it was
    plain = nn.Sequential(*net[:1]).eval()(images)
    if defense == "vanilla":
        assert torch.equal(made(images), plain.flatten(1))
    else:
        assert made(images).shape == (2, 144)


class Mine(Defense):
    """A defense that does nothing."""


@pytest.mark.parametrize(
    ("defense", "sentence"),
    [
        (Mine, r"the defense is the class Mine; give an object: Mine\(\)"),
        (None, "the defense is a NoneType; give a name such as 'convnorm'"),
    ],
)
def test_what_is_no_defense(defense: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        apply_defense(nn.Conv2d(1, 4, 3), defense)


def test_what_is_no_network() -> None:
    model: Any = "convnorm"
    with pytest.raises(UserError, match=r"the model is a str; give a torch\.nn\.Module, and"):
        apply_defense(model, "convnorm")


@pytest.mark.filterwarnings("ignore")
def test_defenses_of_convolutions_refuse_a_computed_weight() -> None:
    net = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 4, 3)), nn.BatchNorm2d(4))
    net(torch.zeros(2, 1, 8, 8))
    with pytest.raises(UserError, match="its weight is computed by a hook"):
        apply_defense(net, "convnorm")


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm", "vanilla"])
def test_lazy_layers_are_refused(defense: str) -> None:
    lazy = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    with pytest.raises(UserError, match=r"'0.weight' belongs to a lazy layer .* model\(images"):
        apply_defense(lazy, defense)
    lazy(torch.zeros(2, 1, 8, 8))
    assert apply_defense(lazy, defense)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.filterwarnings("ignore")
def test_scripted_networks_are_refused_and_compiled_ones_unwrapped() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).eval()
    with pytest.raises(UserError, match="is a TorchScript module, of which no layer"):
        apply_defense(torch.jit.script(net), "convnorm")
    for wrapped in (torch.compile(net, backend="eager"), nn.DataParallel(net)):
        made = apply_defense(wrapped, "convnorm")  # type: ignore[arg-type]
        assert type(made) is nn.Sequential
        assert type(made[0]).__name__ == "ConvNorm2d"


class Forgetful(Defense):
    """A defense whose methods forget their return."""

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return nothing."""
        return None  # type: ignore[return-value]


class ForgetfulOfNorms(Defense):
    """A defense that returns something else in the place of a norm layer."""

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return a class."""
        return nn.GroupNorm  # type: ignore[return-value]


@pytest.mark.parametrize("with_norm", [True, False])
def test_a_defense_that_returns_no_layer_is_named(with_norm: bool) -> None:
    layers = [nn.Conv2d(1, 4, 3), *([nn.BatchNorm2d(4)] if with_norm else [])]
    with pytest.raises(UserError, match=r"Forgetful.replace_conv returns nothing \(a 'return'"):
        apply_defense(nn.Sequential(*layers), Forgetful())
    with pytest.raises(UserError, match=r"replace_norm returns the class GroupNorm, not an ins"):
        apply_defense(nn.Sequential(*layers), ForgetfulOfNorms())


class Failing(Defense):
    """A defense whose code raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Raise."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("mode must be a or b"), r"ValueError: mode must be a or b"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_defense_that_raises_is_named_with_the_layer(error: Exception, said: str) -> None:
    net = nn.Sequential(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3)))
    sentence = rf"^defense 'Failing' fails on the layer '0\.1' \({said}\)\.$"
    with pytest.raises(UserError, match=sentence) as raised:
        apply_defense(net, Failing(error))
    assert raised.value.__cause__ is error
    with pytest.raises(UserError, match=r"on the layer '\(the model itself\)'"):
        apply_defense(nn.Conv2d(1, 4, 3), Failing(error))


@pytest.mark.parametrize("error", [UserError("too wide."), MemoryError("of the machine")])
def test_a_sentence_of_a_defense_and_short_memory_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        apply_defense(nn.Sequential(nn.Conv2d(1, 4, 3)), Failing(error))
    assert raised.value is error
