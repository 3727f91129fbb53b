"""SNGAN's networks have the layers of the authors' code, counted by hand."""

import pytest
import torch
from torch import nn

from robench.gan.architectures import ARCHITECTURES, architecture
from robench.gan.defended import defended, defends_head, head_of, written_out
from robench.gan.head import Head
from robench.registry import defenses


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def conv(inputs: int, outputs: int, side: int) -> int:
    return inputs * outputs * side**2 + outputs


def resnet_generator(width: int, latent: int) -> int:
    g = 2 * width
    block = 2 * g + conv(g, g, 3) + 2 * g + conv(g, g, 3) + conv(g, g, 1)  # BN: scale and shift
    return (latent + 1) * 16 * g + 3 * block + 2 * g + conv(g, 3, 3)


def resnet_discriminator(width: int) -> int:
    c = width
    first = conv(3, c, 3) + conv(c, c, 3) + conv(3, c, 1)
    same = 2 * conv(c, c, 3)
    return first + same + conv(c, c, 1) + 2 * same + c  # the last layer has no bias


def cnn_generator(width: int, latent: int) -> int:
    w, size = width, 128 * width  # 4 * 4 * 8 w
    first = (latent + 1) * size + 2 * size
    ups = sum(conv(a * w, b * w, 4) + 2 * b * w for a, b in ((8, 4), (4, 2), (2, 1)))
    return first + ups + conv(w, 3, 3)


def cnn_discriminator(width: int) -> int:
    w = width
    pairs = sum(conv(a * w, 2 * a * w, 4) + conv(2 * a * w, 2 * a * w, 3) for a in (1, 2, 4))
    return conv(3, w, 3) + pairs + 8 * w * 16 + 1


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        # 57 g^2 + 2114 g + 3 with g = 256, and 64 c^2 + 41 c with c = 128
        ("sngan_resnet", 4_276_739, 1_053_824),
        # 672 w^2 + 16816 w + 3, and 1428 w^2 + 184 w + 1, with w = 64
        ("sngan_cnn", 3_828_739, 5_860_865),
    ],
)
def test_the_authors_sizes(name: str, generator: int, discriminator: int) -> None:
    pair = architecture(name)
    assert parameters(pair.generator(pair.width, 128)) == generator
    assert parameters(pair.discriminator(pair.width)) == discriminator


@pytest.mark.parametrize("width", [1, 8])
def test_parameters_at_other_widths(width: int) -> None:
    resnet, cnn = ARCHITECTURES["sngan_resnet"], ARCHITECTURES["sngan_cnn"]
    assert parameters(resnet.generator(width, 10)) == resnet_generator(width, 10)
    assert parameters(resnet.discriminator(width)) == resnet_discriminator(width)
    assert parameters(cnn.generator(width, 10)) == cnn_generator(width, 10)
    assert parameters(cnn.discriminator(width)) == cnn_discriminator(width)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_are_in_range_and_each_has_one_score(name: str) -> None:
    pair = ARCHITECTURES[name]
    images = pair.generator(4, 7)(torch.randn(5, 7))
    assert images.shape == (5, 3, 32, 32)
    assert images.abs().max() <= 1
    assert pair.discriminator(4)(images).shape == (5,)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_convolution_of_the_last_layer_gives_the_same_scores(name: str) -> None:
    network = ARCHITECTURES[name].discriminator(3)
    images = torch.randn(4, 3, 32, 32)
    before = network(images)
    network.head = head_of(network).as_conv()
    torch.testing.assert_close(network(images), before)


def test_glorot_with_the_gain_of_relu_in_blocks() -> None:
    block = ARCHITECTURES["sngan_resnet"].discriminator(64).blocks[1]
    for layer, gain in ((block.conv1, 2), (block.shortcut, 1)):
        fans = 2 * 64 * layer.kernel_size[0] ** 2
        assert layer.weight.var().item() == pytest.approx(gain * 2 / fans, rel=0.05)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [
        ("spectral_norm", "spectral_norm(bn=False)", True),
        ("oni(steps=3)", "oni(bn=False, steps=3)", True),
        ("convnorm(bn=true)", "convnorm(bn=True)", False),
        ("ocnn", "ocnn(bn=False)", False),
        ("vanilla", "vanilla", False),
        ("batchnorm", "batchnorm", False),
    ],
)
def test_what_a_defense_means_in_a_discriminator(name: str, options: str, head: bool) -> None:
    network = ARCHITECTURES["sngan_cnn"].discriminator(4)
    assert written_out(name) == options
    assert defends_head(defenses.build(options), network) is head


def test_norm_layers_follow_convolutions_only_if_the_defense_is_one() -> None:
    network = ARCHITECTURES["sngan_resnet"].discriminator(4)
    for name, count in (("spectral_norm", 0), ("vanilla", 0), ("batchnorm", 10)):
        made = defended(network, defenses.build(written_out(name)), head=False)
        assert sum(isinstance(m, nn.BatchNorm2d) for m in made.modules()) == count
        assert isinstance(made.head, Head)  # a plain linear layer, which no penalty finds


def test_the_defense_of_the_last_layer_is_spectral_norm_of_its_matrix() -> None:
    network = ARCHITECTURES["sngan_cnn"].discriminator(4)
    made = defended(network, defenses.build("spectral_norm(bn=false)"), head=True)
    matrix = head_of(network).linear.weight
    expected = matrix / torch.linalg.matrix_norm(matrix, 2)
    torch.testing.assert_close(made.head.weight.flatten(1), expected)
