"""The table of ``robench status``."""

from collections.abc import Sequence

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import plain
from robench.runs.status import CellStatus

_COUNTED = {"training": "epochs", "attacking": "columns"}


def status_table(cells: Sequence[CellStatus], title: str) -> FittedTable:
    """Return one line per cell: how far it is, and when something of it was last written."""
    columns = [
        FittedColumn("row", "left"),
        FittedColumn("seed"),
        FittedColumn("state", "left"),
        FittedColumn("last written"),
    ]
    rows = [[plain(c.row), str(c.seed), plain(_state(c)), _ago(c.written)] for c in cells]
    done = sum(cell.state in ("done", "diverged") for cell in cells)
    return FittedTable(title, columns, rows, keys=2, caption=f"{done} of {len(cells)} are done")


def _state(cell: CellStatus) -> str:
    if cell.state in _COUNTED:
        return f"{cell.state}, {cell.finished} of {cell.of} {_COUNTED[cell.state]}"
    return f"{cell.state}: {cell.reason}" if cell.reason else cell.state


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
