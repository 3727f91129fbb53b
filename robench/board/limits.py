"""What a board may hold: what planning, comparing and showing it takes grows with it."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from robench.errors import UserError
from robench.expressions import LONGEST_CALL, number

LONGEST_TITLE = 200
"""Characters of a title or label; the longest of our own has 122."""

LONGEST_TEXT = 10_000
"""Characters of a description."""

LONGEST_ADDRESS = 300
"""Characters of a URL or path."""

ADDRESS = r"^[A-Za-z0-9._~:/?#@!$&()*+,;=%-]*$"
"""The characters of a URL but for brackets and quotes: it is shown in Markdown and in terminals."""

MOST_SEEDS, MOST_ROWS, MOST_ATTACKS = 1000, 5000, 200
"""Seeds, rows and attacks of a board."""

MOST_EPOCHS, MOST_IMAGES, WIDEST, MOST_PADDING = 10**6, 10**9, 10**9, 10**4
"""Epochs and replays, images of a batch or an evaluation, channels, pixels of padding: far beyond
what can be trained, so that nothing overflows."""

LARGEST_RATE = 1e37
"""The largest learning rate and weight decay; float32 holds little more."""


def _title(value: str) -> str:
    if not value.isprintable():  # a terminal may take it for a command
        raise UserError("a title is one line of visible characters")
    return value


Title = Annotated[str, Field(max_length=LONGEST_TITLE), AfterValidator(_title)]

FolderName = Annotated[str, Field(max_length=300), AfterValidator(_title)]
"""The name of a published board, or of its data set: reports begin with it."""

Call = Annotated[str, Field(max_length=LONGEST_CALL)]
"""A name with options, as :mod:`robench.expressions` reads it."""


def _pixel_units(value: Any) -> Any:
    value = number(value)
    if isinstance(value, (int, float)) and not 0 <= value <= 1:
        raise UserError(f'images are in [0, 1], so write "{value:g}/255" for {value:g} gray levels')
    return value


_AS_WRITTEN = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*[0-9.]+\s*/\s*[0-9.]+\s*$"},
    ]
}

PixelUnits = Annotated[float, BeforeValidator(_pixel_units), WithJsonSchema(_AS_WRITTEN)]
"""A distance between images in [0, 1]; strings such as "8/255" are accepted."""
