"""A defense is applied to any ConvNet: torchvision's, timm's, the user's own."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import utils
from torch.nn.utils import parametrizations, parametrize

from robench import apply_defense
from robench.base import Defense
from robench.defenses import ConvNorm2d
from robench.errors import UserError
from robench.registry import defenses

DEFENSES = ["vanilla", "batchnorm", "spectral_norm", "convnorm", "convnorm(bn=False, affine=False)"]


def own() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, stride=2, groups=2), nn.GroupNorm(2, 8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def of_type(model: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16", "vgg11_bn", "mobilenet_v2"])
def test_torchvision_s_networks_run_forward_and_backward(name: str, defense: str) -> None:
    model = apply_defense(getattr(torchvision.models, name)(num_classes=5), defense)
    logits = model(torch.rand(2, 3, 32, 32))
    logits.logsumexp(1).sum().backward()
    assert logits.shape == (2, 5)
    assert all(p.grad is not None for p in model.parameters())


def test_every_convolution_is_replaced_and_no_linear_layer() -> None:
    plain = torchvision.models.resnet18()
    defended = apply_defense(plain, "convnorm")
    assert of_type(defended, ConvNorm2d) == of_type(plain, nn.Conv2d) == 20
    assert type(defended.fc) is nn.Linear


@pytest.mark.parametrize(
    ("defense", "norms"),
    [("vanilla", 0), ("batchnorm", 2), ("spectral_norm", 2), ("convnorm", 2),
     ("convnorm(bn=False)", 0)],
)  # fmt: skip
def test_norm_layers_are_kept_or_dropped(defense: str, norms: int) -> None:
    model = apply_defense(own(), defense)
    assert of_type(model, nn.BatchNorm2d) + of_type(model, nn.GroupNorm) == norms


@pytest.mark.parametrize(
    ("defense", "norms"), [("vanilla", 0), ("batchnorm", 13), ("convnorm", 13)]
)
def test_a_network_without_norm_layers_gets_batchnorm_first(defense: str, norms: int) -> None:
    model = apply_defense(torchvision.models.vgg16(), defense)
    assert of_type(model, nn.BatchNorm2d) == norms
    assert of_type(model, nn.Identity) == 0


def test_the_user_s_model_is_left_as_it_is() -> None:
    model = own()
    images = torch.rand(2, 3, 8, 8)
    before = model.eval()(images)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    defended = apply_defense(model, "spectral_norm").train()
    defended(images).sum().backward()
    assert torch.equal(model(images), before)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(parametrize.is_parametrized(module) for module in model.modules())


def test_a_network_that_keeps_features_in_a_list_is_copied_without_their_graph() -> None:
    class Keeps(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            self.seen = [super().forward(input)]
            return self.seen[0]

    model = nn.Sequential(Keeps(3, 4, 3), nn.Conv2d(4, 4, 3))
    model(torch.rand(2, 3, 8, 8))
    defended = apply_defense(model, "batchnorm", skip=["0"])
    copied = defended[0].seen[0]  # type: ignore[index]
    assert torch.equal(copied, model[0].seen[0])
    assert not copied.requires_grad


def test_convolutions_keep_their_weights() -> None:
    model = own()
    defended = apply_defense(model, "convnorm")
    assert torch.equal(defended[0].weight, model[0].weight)  # type: ignore[index]


def test_skipped_layers_are_left_alone() -> None:
    defended = apply_defense(torchvision.models.resnet18(), "convnorm", skip=["layer4.*", "conv1"])
    replaced = [name for name, m in defended.named_modules() if isinstance(m, ConvNorm2d)]
    assert "conv1" not in replaced
    assert not any(name.startswith("layer4") for name in replaced)
    assert "layer1.0.conv1" in replaced


@pytest.mark.parametrize("name", ["ocnn", "ocnn(squared=true)", "soft_orthogonal"])
def test_a_penalty_has_no_gradient_in_skipped_layers(name: str) -> None:
    model = apply_defense(own(), name, skip=["0"])
    penalty = defenses.build(name).penalty(model)
    assert penalty is not None
    penalty.backward()
    assert model[0].weight.grad is None  # type: ignore[index]
    assert model[3].weight.grad is not None  # type: ignore[index]


def test_a_projection_leaves_skipped_and_frozen_layers_to_the_bit() -> None:
    plain = nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(3)), nn.BatchNorm2d(4))
    plain[1].requires_grad_(False)
    model = apply_defense(plain, "parseval(rate=0.1)", skip=["0"])
    defenses.build("parseval(rate=0.1)").after_step(model)
    changed = [not torch.equal(plain[i].weight, model[i].weight) for i in range(3)]  # type: ignore[index, arg-type]
    assert changed == [False, False, True]


@pytest.mark.parametrize(
    "computed", [parametrizations.weight_norm, parametrizations.spectral_norm, utils.weight_norm]
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_projection_of_weights_that_are_computed_is_refused(computed: Any) -> None:
    model = nn.Sequential(computed(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
    with pytest.raises(UserError, match=r"layer '0', .*Parseval writes into it .*skip=\['0'\]"):
        apply_defense(model, "parseval")
    assert apply_defense(model, "parseval", skip=["0"]) is not model


def test_a_misspelled_pattern_of_layers_to_skip_is_refused() -> None:
    with pytest.raises(UserError, match=r"skip: 'layr4.\*' matches no layer .* 'layer4"):
        apply_defense(torchvision.models.resnet18(), "convnorm", skip=["conv1", "layr4.*"])


def test_a_module_that_is_used_twice_stays_one_module() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 3, padding=1)
            self.second = self.first

        def forward(self, images: Tensor) -> Tensor:
            return self.second(self.first(images))

    model = apply_defense(Twice(), "convnorm(bn=False)")
    assert model.first is model.second
    assert isinstance(model.first, ConvNorm2d)


def test_the_model_may_be_a_convolution_itself() -> None:
    assert isinstance(apply_defense(nn.Conv2d(3, 4, 3), "convnorm(bn=False)"), ConvNorm2d)


class OwnConv(nn.Conv2d):
    """A convolution with its own forward."""


def test_a_convolution_with_a_forward_of_its_own_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(OwnConv(4, 4, 3)))
    with pytest.raises(UserError, match=r"layer '1\.0', OwnConv.*skip=\['1\.0'\]"):
        apply_defense(model, "convnorm")
    assert isinstance(apply_defense(model, "convnorm", skip=["1.0"])[0], nn.Sequential)  # type: ignore[index]
    apply_defense(model, "vanilla")  # leaves convolutions alone


def test_what_a_defense_cannot_replace_is_refused_with_layer_and_reason() -> None:
    @dataclass(frozen=True)
    class NoGroups(Defense):
        def unsupported(self, conv: nn.Conv2d) -> str | None:
            return "it has groups" if conv.groups > 1 else None

        def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
            return nn.Identity()

    model = own()
    with pytest.raises(UserError, match=r"layer '3', Conv2d.*NoGroups cannot .*: it has groups"):
        apply_defense(model, NoGroups())
    assert isinstance(model[0], nn.Conv2d)  # type: ignore[index]


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(UserError, match=r"Linear has no nn\.Conv2d"):
        apply_defense(nn.Linear(3, 3), "batchnorm")


def test_an_unknown_defense_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'batchnorm'"):
        apply_defense(own(), "batchnrom")


def test_the_activation_inside_a_norm_layer_survives() -> None:
    class NormAct(nn.BatchNorm2d):
        """As timm has them: the activation inside."""

        def __init__(self, channels: int) -> None:
            super().__init__(channels)
            self.drop, self.act = nn.Identity(), nn.ReLU()

        def forward(self, images: Tensor) -> Tensor:
            return self.act(super().forward(images))

    model = apply_defense(nn.Sequential(nn.Conv2d(1, 2, 3), NormAct(2)), "vanilla")
    assert of_type(model, NormAct) == 0
    assert model(torch.randn(4, 1, 5, 5)).min() == 0
