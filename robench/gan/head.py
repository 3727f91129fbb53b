"""The last, linear layer of a discriminator, which a defense may leave alone or replace."""

from torch import nn


class Head(nn.Sequential):
    """A linear layer of whole maps: (N, channels, side, side) -> (N, 1).

    Args:
        channels: channels of the maps.
        side: their side.
        bias: whether it adds one.
    """

    def __init__(self, channels: int, side: int, *, bias: bool) -> None:
        super().__init__(nn.Flatten(), nn.Linear(channels * side**2, 1, bias=bias))
        self.channels, self.side = channels, side

    @property
    def linear(self) -> nn.Linear:
        """The linear layer itself."""
        layer = self[1]
        assert isinstance(layer, nn.Linear)
        return layer

    def as_conv(self) -> nn.Conv2d:
        """Return it as the convolution of one position that it is, with the same weights.

        Its kernel, flattened, is the matrix of the linear layer, so that what a defense does to
        the one is what it would do to the other.
        """
        linear = self.linear
        conv = nn.Conv2d(self.channels, 1, self.side, bias=linear.bias is not None)
        conv.weight = nn.Parameter(linear.weight.detach().reshape(conv.weight.shape).clone())
        if conv.bias is not None:
            conv.bias = nn.Parameter(linear.bias.detach().clone())
        return conv
