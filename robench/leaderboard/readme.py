"""Generate the table of columns in ``leaderboards/README.md`` from the list of columns.

python -m robench.leaderboard.readme leaderboards/README.md
"""

import sys
from pathlib import Path

from robench.errors import UserError
from robench.leaderboard import columns
from robench.leaderboard.column_types import Entry, PerAttack
from robench.leaderboard.row import Role
from robench.system.files import write_text

BEGIN, END = "<!-- columns: begin -->", "<!-- columns: end -->"
"""The markers before and after the table in the README."""

WORDS: dict[Role, str] = {
    "clean": "clean",
    "attack": "attacks",
    "counts queries": "attacks that report queries",
    "worst case": "worst case",
    "best known": "best known",
    "corruption": "corruptions",
    "corruptions": "their mean",
    "certified": "certificates",
}


def columns_table() -> str:
    """Return the Markdown table of the columns, one row per entry of the list."""
    rows = [("column", "type", "meaning"), ("---",) * 3, *map(_row, columns.COLUMNS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_columns(text: str) -> str:
    """Return the text of the README with the generated table inserted.

    Raises:
        UserError: if the text lacks the markers of the table.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"the README has no place for the table; add '{BEGIN}' and '{END}'.")
    return f"{before}{begin}\n{columns_table()}\n{end}{after}"


def _row(entry: Entry) -> tuple[str, str, str]:
    if not isinstance(entry, PerAttack):
        return f"`{entry.name}`", entry.kind, entry.description
    of = ", ".join(WORDS[role] for role in entry.of)
    return f"`X_{entry.name}`", entry.kind, f"{entry.description} ({of})"


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        write_text(file, with_columns(file.read_text(encoding="utf-8")))
