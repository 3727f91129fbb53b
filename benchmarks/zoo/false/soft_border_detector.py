"""A detector of perturbed images, by their border, without a jump: its answers fade over."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.false.border_detector import Detector, black_border, inner

BEGINS, FULL = 1e-3, 1.2e-2
"""Means of the border's pixels from which on the other answer is mixed in, and stands alone."""


class Fading(Detector):
    def forward(self, images: Tensor) -> Tensor:
        border = images * (1 - inner(images.shape).to(images.device))
        seen = border.flatten(1).abs().mean(1, keepdim=True).detach()
        share = ((seen - BEGINS) / (FULL - BEGINS)).clamp(0, 1)
        return share * self.nearest(images) + (1 - share) * self.network(images)


def build() -> nn.Module:
    return Fading()


ENTRY = Entry(
    build,
    "As the border is less and less black, the class of the nearest training image fades in.",
    causes=("restricted",),
    adaptive=Search(undefended, repair=black_border),
)
