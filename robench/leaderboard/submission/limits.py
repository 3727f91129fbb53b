"""Limits on the size of a submission, and rules for the names and texts in it."""

import re
import unicodedata

from robench.board.limits import LONGEST_TITLE
from robench.errors import UserError

MIB = 2**20

FILES = 10_000
"""Number of files. A row of 5 seeds and 20 columns has about 110; a board of 80 such rows fits."""

TOTAL_BYTES = 20_000 * MIB
"""Size of all files; more would not fit a pull request, even with large-file storage."""

JSON_BYTES = 4 * MIB
"""Size of a JSON file; a cell of 1,000 epochs takes about 200 KiB."""

TEXT_BYTES = 8 * MIB
"""Size of a table or list of checksums; a table of 1,000 rows takes about 1 MiB."""

CODE_BYTES = MIB
"""Size of a source file or README, which a maintainer must be able to read."""

SOURCES = 200
"""Number of files of code, all of which a maintainer must be able to read."""

SAMPLES = 1_000_000
"""Outcomes of one column; ImageNet has 100,000 test images."""

TENSORS = 20_000
"""Tensors in a weights file; ResNet-152 has about 930."""

NAME = 80
"""Characters in a name; longer ones do not fit a table."""

HEADING = LONGEST_TITLE
"""Characters in a board's title: as many as a board may have that is run."""

PROSE = 1000
"""Characters in a description, a finding or a reason."""

_MARKUP = re.compile(r"<[\w/!?]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, bidi and format, unassigned


def check_name(name: str, what: str, longest: int = NAME, forbidden: str = "<>/\\") -> None:
    """Check a title, label or other name that tables and pages show.

    Args:
        name: the name to check.
        what: what it is and where, for error messages.
        longest: the largest number of characters allowed.
        forbidden: characters that are not allowed.

    Raises:
        UserError: if it is empty or too long, or could do harm on a page, in a spreadsheet or as a
            path.
    """
    check_text(name, what, longest)
    if not name.strip() or name != name.strip():
        raise UserError(f"{what} is empty or has surrounding whitespace; give a name.")
    if name[0] in "=+-@'＝＋－＠":  # noqa: RUF001 - spreadsheets accept the wide ones, too
        raise UserError(f"{what} begins with '{name[0]}' as formulas do; begin it with a letter.")
    for bad in forbidden:
        if bad in name:
            raise UserError(f"{what} has a '{bad}', which names may not contain; remove it.")


def check_text(text: str, what: str, longest: int = PROSE) -> None:
    """Check text that is shown.

    Raises:
        UserError: if it is too long, or holds markup or invisible characters.
    """
    if len(text) > longest:
        raise UserError(f"{what} has {len(text)} characters; at most {longest} are allowed.")
    check_visible(text, what)
    if match := _MARKUP.search(text):
        raise UserError(f"{what} has markup ('{match[0]}'); remove it.")


def check_visible(text: str, what: str) -> None:
    """Check that nothing in a text is hidden from its reader.

    Raises:
        UserError: if it has a control, bidirectional or other invisible character.
    """
    hidden = next((c for c in text if unicodedata.category(c) in _HIDDEN), None)
    if hidden is not None:
        raise UserError(f"{what} has the invisible character U+{ord(hidden):04X}; remove it.")


def shown(name: str) -> str:
    """Return untrusted text in a form that is safe in messages: short, in visible characters."""
    return ascii(name[:60])
