"""Decode an image file into a tensor, as torchvision's ImageFolder does by default."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from robench.errors import UserError, first_line, shortened
from robench.system.out_of_memory import is_out_of_memory
from robench.system.reading import Refused, is_transient, open_plain

# What is odd in a file is not the user's concern. Not ``catch_warnings``: files are decoded in
# threads, and two that leave it in another order leave all warnings of the process ignored.
warnings.filterwarnings("ignore", module=r"PIL\.")

GRAY_MODES = ("1", "L", "LA", "La")
ORIENTATION = 0x0112
"""The EXIF tag that says how an image is rotated or mirrored; 1 is upright."""


FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
"""What files of torchvision's endings hold; Pillow has other programs read some other formats."""

PIXELS = 2**26
"""Largest number of pixels of an image: 8192 times 8192."""


@dataclass(frozen=True)
class ImageContent:
    """The content of an image file that is kept elsewhere, such as in a column of a table.

    Attributes:
        content: its bytes.
        name: what sentences call it.
    """

    content: bytes
    name: str

    def __str__(self) -> str:
        return self.name


ImageSource = Path | ImageContent
"""Where an image file is, or what is in it."""


@contextmanager
def open_image(source: ImageSource) -> Iterator[Image.Image]:
    """Open an image file; only its header is read.

    Raises:
        Refused: if it is not a plain file.
        ValueError: if it has more than :data:`PIXELS` pixels.
        Exception: whatever Pillow raises if it is not an image of :data:`FORMATS`.
    """
    opened = open_plain(source) if isinstance(source, Path) else BytesIO(source.content)
    with opened as file, Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > PIXELS:
            raise ValueError(f"its {image.width}x{image.height} pixels exceed the limit")
        yield image


def decode(source: ImageSource) -> Tensor:
    """Return an image file as uint8 (C, H, W): C is 1 for a grayscale file and 3 for any other.

    The rotation in its EXIF data is not applied: torchvision does not, either.

    Raises:
        UserError: if it is not a complete image, or has more than 8 bits per channel.
    """
    return decode_and_inspect(source)[0]


def decode_and_inspect(source: ImageSource) -> tuple[Tensor, bool]:
    """Return a decoded file as :func:`decode` does, and whether a rotation was not applied."""
    try:
        with open_image(source) as image:
            mode = image.mode
            pixels = np.array(image.convert("L" if mode in GRAY_MODES else "RGB"))
            turned = _is_turned(image)
    except Exception as error:  # the readers of the formats raise many types on damaged files
        _raise_if_transient(source, error)
        reason = error.reason if isinstance(error, Refused) else shortened(error, 200)
        raise UserError(
            f"{source} is not a complete image ({reason}); fix or remove it."
        ) from error
    if mode[0] in "IF":  # Pillow clips these at 255 instead of scaling them
        raise UserError(
            f"{source} has more than 8 bits per channel (mode {mode}); "
            f"save it with 8, scaled to 0-255."
        )
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1), turned


def is_turned(path: Path) -> bool:
    """Return whether a file's EXIF data ask for a rotation that decoding leaves out."""
    with open_image(path) as image:
        return _is_turned(image)


def _is_turned(image: Image.Image) -> bool:
    if image.format == "TIFF":  # Pillow applies it to this format alone, as it decodes
        return False
    try:
        return image.getexif().get(ORIENTATION, 1) != 1
    except Exception:  # damaged EXIF data, which has no influence on the pixels
        return False


def is_color(source: ImageSource) -> bool:
    """Return whether a file's header says that it is not grayscale; False if it is unreadable."""
    try:
        with open_image(source) as image:
            return image.mode not in GRAY_MODES
    except Exception as error:  # reading it says what is wrong
        _raise_if_transient(source, error)
        return False


def _raise_if_transient(source: ImageSource, error: Exception) -> None:
    """Raise what the machine, and not the image, is to blame for."""
    if is_out_of_memory(error):
        raise error
    if is_transient(error):
        raise UserError(f"{source} cannot be read: {first_line(error)}.") from error
