"""Almost-orthogonal kernels (AOL, Prach and Lampert 2022, arXiv:2208.03160), as a map of kernels.

    w[:, i] <- w[:, i] / sqrt( sum_j sum_l | sum_o sum_t w[o, i, t] w[o, j, t + l] | )

Each input channel is divided by the square root of its total overlap with all input channels at all
shifts. The operator then has norm at most 1, for any input size and stride, with zero or circular
padding, by Gershgorin's circle theorem applied to W^T W.
"""

from torch import Tensor, nn

from robench.layers.nonzero import nonzero
from robench.layers.overlaps import overlaps


class AlmostOrthogonal(nn.Module):
    """Map from kernels (out, in / groups, kh, kw) to kernels of norm at most 1; no parameters."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, weight: Tensor) -> Tensor:
        """Rescale the input channels; the kernel's dilation does not change the overlaps."""
        out, inputs, kh, kw = weight.shape
        split = weight.view(self.groups, out // self.groups, inputs, kh, kw)
        columns = split.transpose(1, 2).flatten(0, 1)
        gram = overlaps(columns, groups=self.groups)
        reach = nonzero(gram.abs().sum((2, 3, 4)), power=2)
        return (split * reach.rsqrt()[:, None, :, None, None]).view_as(weight)
