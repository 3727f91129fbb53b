"""Inputs that ``build_model`` refuses; its check of the image size has no side effects."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robench.base import Defense
from robench.errors import UserError
from robench.models.build import build_model
from robench.plugins import registrations_undone
from robench.registry import backbones, defenses


def build(**changes: Any) -> nn.Module:
    options: dict[str, Any] = {
        "backbone": "resnet18", "num_classes": 10, "in_channels": 3, "image_size": (32, 32),
        "mean": (0.5,) * 3, "std": (0.25,) * 3, "width": 4,
    }  # fmt: skip
    options |= changes
    return build_model(options.pop("backbone"), **options)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"backbone": "vgg16", "image_size": (28, 28)}, r"vgg16 .* 28x28 pixels .* takes 32x32\.$"),
        ({"stem": "cifra"}, r"resnet18 has no stem 'cifra'; did you mean 'cifar'\?$"),
        ({"width": 0}, "width is 0; give 1 channel or more"),
        ({"width": -8}, "width is -8; give 1 channel or more"),
        ({"mean": (0.5, 0.5)}, "mean has 2 values but images have 3 channels"),
        ({"std": (0.5,) * 4}, "std has 4 values but images have 3 channels"),
        ({"width": 4.5}, "width is 4.5; give 1 channel or more"),
        ({"num_classes": 0}, "num_classes is 0; give 1 class or more"),
        ({"image_size": 8}, r"image_size is 8; give height and width, such as \(32, 32\)"),
        ({"image_size": (8, 0)}, "image_size is 0; give 1 pixel or more"),
        ({"mean": 0.3}, r"mean is 0.3; give one number per channel, such as \[0.3\]"),
        ({"std": (0.5, 0.0, 0.5)}, "std has the value 0, by which images cannot be"),
    ],
)
def test_what_does_not_fit_is_reported_in_one_line(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        build(**changes)
    assert "\n" not in str(caught.value)


def test_means_may_be_an_array() -> None:
    images = torch.rand(2, 3, 32, 32)
    assert build(mean=np.array([0.5] * 3), width=np.int64(4)).eval()(images).dtype == torch.float32


@pytest.mark.parametrize("defense", ["batchnorm", "spectral_norm", "convnorm"])
def test_the_image_size_decides_neither_weights_nor_what_is_drawn_afterwards(defense: str) -> None:
    results = []
    for side in (8, 32):
        torch.manual_seed(1)
        model = build(defense=defense, image_size=(side, side))
        results.append((model.state_dict(), torch.get_rng_state()))
    (small, after_small), (large, after_large) = results
    assert torch.equal(after_small, after_large)
    assert all(torch.equal(small[name], value) for name, value in large.items())


@pytest.mark.parametrize("pair", [("vanilla", "batchnorm"), ("batchnorm", "convnorm")])
def test_defenses_of_one_seed_start_from_the_same_convolutions(pair: tuple[str, str]) -> None:
    weights = []
    for defense in pair:
        torch.manual_seed(2)
        net: Any = build(defense=defense).net
        weights.append([net.conv1.weight, net.layer3[0].downsample[0].weight, net.fc.weight])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def small(*layers: nn.Module, outputs: int = 10, **options: Any) -> nn.Module:
    """Return a network with a convolution and, by default, 10 logits."""
    conv = nn.Conv2d(3, 4, 3, padding=1, **options)
    return nn.Sequential(conv, *(layers or (nn.AdaptiveAvgPool2d(1), nn.Flatten())),
                         nn.Linear(4, outputs))  # fmt: skip


class Pair(nn.Module):
    """Returns logits and features."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net(images), images


@pytest.fixture
def registered() -> Iterator[Callable[[Callable[[], Any]], str]]:
    """Return what registers a function without arguments as the backbone ``mine``."""

    def register(build: Callable[[], Any]) -> str:
        @backbones.register("mine")
        def mine(num_classes: int, in_channels: int, width: int, stem: str) -> Any:
            """A backbone."""
            return build()

        return "mine"

    with registrations_undone():
        yield register


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (lambda: None, "mine is a NoneType: .* torch.nn.Module; a 'return' may be missing"),
        (lambda: small(outputs=1000), r"mine returns the shape \(1, 1000\) for an image of 32x32"),
        (lambda: nn.Conv2d(3, 4, 3, padding=1), r"the shape \(1, 4, 32, 32\) .* \(N, 10\)"),
        (Pair, "mine returns a tuple for an image"),
        (lambda: small(device="meta"), "mine: 'net.0.*' is on the meta device"),
    ],
)
def test_a_backbone_that_is_not_a_network_of_logits_is_named(
    registered: Callable[[Any], str], network: Callable[[], Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        build(backbone=registered(network))


def test_a_backbone_that_does_not_take_its_arguments_says_which_it_must_take() -> None:
    with registrations_undone():

        @backbones.register("short")
        def short(num_classes: int) -> nn.Module:
            """A backbone."""
            return small(outputs=num_classes)

        with pytest.raises(UserError, match="must take num_classes, in_channels, width, stem fir"):
            build(backbone="short")


def test_a_defense_that_breaks_the_network_is_named_instead_of_the_backbone() -> None:
    with registrations_undone():

        @defenses.register("narrow")
        @dataclass(frozen=True)
        class Narrow(Defense):
            """Gives each convolution one output too few."""

            def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
                """Replace a convolution."""
                return nn.Conv2d(conv.in_channels, conv.out_channels - 1, 1)

        with pytest.raises(UserError, match="with the defense 'narrow', resnet18 fails on imag"):
            build(defense="narrow")
