"""The standard CNN pair of SNGAN for 32x32 images (Miyato et al. 2018, arXiv:1802.05957, Table 3).

Channels are those of the authors' code, in which a convolution of stride 2 doubles them, and so are
the weights, drawn with standard deviation 0.02; the slope of the discriminator's LeakyReLU, 0.1, is
the paper's (the code has 0.2).
"""

from torch import Tensor, nn

from robench.gan.head import Head

BOTTOM = 4
"""Side of the generator's first map, and of the discriminator's last."""

BN_EPS = 2e-5
"""The default of Chainer, in which the authors' code is written."""

DEVIATION = 0.02
"""Standard deviation of the initial weights."""

SLOPE = 0.1
"""Slope of LeakyReLU for negative values."""


def _drawn(module: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers anew; their biases are zero."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=DEVIATION)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1),
        nn.BatchNorm2d(outputs, eps=BN_EPS),
        nn.ReLU(),
    ]


class CnnGenerator(nn.Module):
    """Latent vectors (N, latent) -> images (N, 3, 32, 32) in [-1, 1].

    Args:
        width: channels of the last maps; the first have eight times as many.
        latent: size of a latent vector.
    """

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        size = 8 * width * BOTTOM**2
        self.first = nn.Sequential(
            nn.Linear(latent, size), nn.BatchNorm1d(size, eps=BN_EPS), nn.ReLU()
        )
        self.layers = nn.Sequential(
            nn.Unflatten(1, (8 * width, BOTTOM, BOTTOM)),
            *_up(8 * width, 4 * width),
            *_up(4 * width, 2 * width),
            *_up(2 * width, width),
            nn.ConvTranspose2d(width, 3, 3, padding=1),
            nn.Tanh(),
        )
        _drawn(self)

    def forward(self, z: Tensor) -> Tensor:
        """Generate images."""
        return self.layers(self.first(z))


class CnnDiscriminator(nn.Module):
    """Images (N, 3, 32, 32) in [-1, 1] -> scores (N,)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
        for channels in (width, 2 * width, 4 * width):
            down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)
            same = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
            layers += [down, nn.LeakyReLU(SLOPE), same, nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.head = Head(8 * width, BOTTOM, bias=True)
        _drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        """Score images."""
        return self.head(self.layers(x)).flatten()
