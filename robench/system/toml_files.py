"""Read TOML that a stranger may have written."""

import re
import tomllib
from typing import Any

from robench.system.values import DEPTH, check_values, too_deep

_KEY = r"(?:(?<![\w-])[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_LONG_KEY = re.compile(rf"{_KEY}(?:[ \t]*+\.[ \t]*+{_KEY}){{{DEPTH},}}")
"""A dotted key of so many parts; the time that they take grows with the square of their number."""


_MARK = "\ufeff"
"""What some editors put before UTF-8 text."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        ValueError: if it is not TOML, or holds something that
            :func:`robench.system.values.check_values` refuses. The message is part of a sentence.
    """
    text = text.removeprefix(_MARK)
    if _LONG_KEY.search(text):
        raise too_deep()
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise too_deep() from None
    check_values(values)
    return values
