"""How much a board may hold: what planning, comparing and showing it takes grows with it."""

from typing import Annotated

from pydantic import Field

from robench.expressions import LONGEST_CALL

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

Title = Annotated[str, Field(max_length=LONGEST_TITLE)]

Call = Annotated[str, Field(max_length=LONGEST_CALL)]
"""A name with options, as :mod:`robench.expressions` reads it."""
