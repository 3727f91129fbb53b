"""How large a submission may be, and what its names may look like."""

import re
import unicodedata

from robench.errors import UserError

MIB = 2**20

FILES = 10_000
"""A row of 5 seeds and 20 columns has about 110; a whole board of 80 such rows fits."""

TOTAL_BYTES = 20_000 * MIB
"""More than this is no pull request, also not with large-file storage."""

JSON_BYTES = 4 * MIB
"""A cell of 1,000 epochs takes about 200 KiB."""

JSON_DEPTH = 16
"""The deepest of our own have 7 levels; readers of JSON recurse."""

TEXT_BYTES = 8 * MIB
"""Of a table or list of checksums; a table of 1,000 rows takes about 1 MiB."""

CODE_BYTES = MIB
"""A maintainer must be able to read it."""

SAMPLES = 1_000_000
"""Outcomes of one column; ImageNet's test images are 100,000."""

WEIGHTS_BYTES = 4096 * MIB
"""A network of a billion float32 weights."""

TENSORS = 20_000
"""ResNet-152 has about 930."""

NAME = 80
"""Characters of a name; more does not fit a table."""

HEADING = 160
"""Characters of a board's title: what it is made on, and that it is reduced where it is."""

PROSE = 1000
"""Characters of a description, a finding or a reason."""

_MARKUP = re.compile(r"<[\w/!?]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, bidi and format, unassigned


def check_name(name: str, what: str, longest: int = NAME, forbidden: str = "<>/\\") -> None:
    """Check a title, label or other name that tables and pages show.

    Args:
        name: to check.
        what: it is, and where, for the message.
        longest: characters that are allowed.
        forbidden: characters that are not.

    Raises:
        UserError: where it is empty, long or could do harm on a page, in a sheet or as a path.
    """
    check_text(name, what, longest)
    if not name.strip() or name != name.strip():
        raise UserError(f"{what} is empty or has blanks around it; give a name.")
    if name[0] in "=+-@'＝＋－＠":  # noqa: RUF001 - spreadsheets take the wide ones, too
        raise UserError(f"{what} begins with '{name[0]}' as formulas do; begin with a letter.")
    for bad in forbidden:
        if bad in name:
            raise UserError(f"{what} has a '{bad}', which no name needs; take it out.")


def check_text(text: str, what: str, longest: int = PROSE) -> None:
    """Check text that is shown.

    Raises:
        UserError: where it is too long, or holds markup or characters that cannot be seen.
    """
    if len(text) > longest:
        raise UserError(f"{what} has {len(text)} characters; {longest} are allowed.")
    check_visible(text, what)
    if match := _MARKUP.search(text):
        raise UserError(f"{what} has markup ('{match[0]}'); take it out.")


def check_visible(text: str, what: str) -> None:
    """Check that nothing in a text is hidden from who reads it.

    Raises:
        UserError: for a control, bidirectional or other invisible character.
    """
    hidden = next((c for c in text if unicodedata.category(c) in _HIDDEN), None)
    if hidden is not None:
        raise UserError(f"{what} has the invisible character U+{ord(hidden):04X}; take it out.")


def shown(name: str) -> str:
    """Return a stranger's text as a message can hold it: short, and in visible characters."""
    return ascii(name[:60])
