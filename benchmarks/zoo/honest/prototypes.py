"""The nearest of ten average digits, without any training."""

import torch
from torch import Tensor, nn

from robench import Images
from zoo.entry import Entry
from zoo.trained import digits


class Prototypes(nn.Module):
    """The logit of a digit: minus the squared distance to the mean of its images."""

    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        train = digits().train
        assert isinstance(train, Images)
        images = train.images.float() / 255
        means = torch.stack([images[train.labels == digit].mean(0) for digit in range(10)])
        self.register_buffer("means", means.flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        return -(images.flatten(1).unsqueeze(1) - self.means).square().sum(2)


def build() -> nn.Module:
    return Prototypes().eval()


ENTRY = Entry(
    build,
    "Distances to fixed images are smooth.",
)
