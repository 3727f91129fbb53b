"""Common corruptions: fifteen ways in which small images get worse without an adversary.

After Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019 (arXiv 1903.12261), with the strengths of the released CIFAR-10-C, which
are meant for images of 32x32 pixels.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Generator, Tensor

from robench.attack_tools.corruptions.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from robench.attack_tools.corruptions.digital import (
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
)
from robench.attack_tools.corruptions.draws import Draws, Floats
from robench.attack_tools.corruptions.noise import gaussian_noise, impulse_noise, shot_noise
from robench.attack_tools.corruptions.weather import brightness, fog, frost, snow

CORRUPTIONS: Mapping[str, Callable[[Floats, int, Draws], Floats]] = {
    corruption.__name__: corruption
    for corruption in (
        gaussian_noise, shot_noise, impulse_noise,
        defocus_blur, glass_blur, motion_blur, zoom_blur,
        snow, frost, fog, brightness,
        contrast, elastic_transform, pixelate, jpeg_compression,
    )
}  # fmt: skip
"""Name -> an image (H, W, C) in [0, 1], a severity from 1 to 5 and random numbers, to the corrupted
image, which may leave [0, 1]. In the order of the paper: noise, blur, weather, digital."""

SEVERITIES = range(1, 6)


def corrupt(image: Tensor, name: str, severity: int, rng: Generator) -> Tensor:
    """Return a corrupted image with 8 bits per value, as it would be in a file.

    Args:
        image: (C, H, W) in [0, 1], C = 1 or 3, on the CPU.
        name: a name in :data:`CORRUPTIONS`.
        severity: from 1 to 5.
        rng: the generator of the sample.

    Returns:
        (C, H, W) float32, multiples of 1/255 in [0, 1].
    """
    pixels = image.permute(1, 2, 0).double().numpy()
    corrupted = CORRUPTIONS[name](pixels, severity, Draws(rng)).clip(0, 1)
    # Truncated as in the released files; the addition keeps what was exact before.
    whole = np.floor(corrupted * 255 + 1e-6)
    return torch.from_numpy(whole / 255).permute(2, 0, 1).float()
