"""From an image file to a tensor."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from robench.errors import UserError


def decode(path: Path) -> Tensor:
    """Return an image file as uint8 (3, H, W).

    Raises:
        UserError: where it is not a whole image.
    """
    try:
        with Image.open(path) as image:
            array = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise UserError(f"{path} is not a whole image ({error}); mend or remove it.") from error
    return torch.from_numpy(array.copy()).permute(2, 0, 1)
