"""Decode an image file into a tensor."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from robench.errors import UserError

GRAY_MODES = ("1", "L", "LA", "La")


def decode(path: Path) -> Tensor:
    """Return an image file as uint8 (C, H, W): C is 1 for a grayscale file and 3 for any other.

    Raises:
        UserError: if it is not a complete image, or has more than 8 bits per channel.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            pixels = np.array(image.convert("L" if mode in GRAY_MODES else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a complete image ({error}); fix or remove it.") from error
    if mode[0] in "IF":  # Pillow clips these at 255 instead of scaling them
        raise UserError(
            f"{path} has more than 8 bits per channel (mode {mode}); "
            f"save it with 8, scaled to 0-255."
        )
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)
