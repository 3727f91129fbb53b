"""The tables of ``robench status`` and ``robench run --dry-run``."""

import math
from collections.abc import Sequence

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import plain
from robench.commands.forecast import Forecast
from robench.commands.gan_forecast import GanForecast
from robench.runs.status import CellStatus

_COUNTED = ("training", "attacking")
"""The states of which a part may be done."""


def status_table(cells: Sequence[CellStatus], title: str) -> FittedTable:
    """Return one line per cell: how far it is, when it was last written to, and by whom."""
    columns = [
        FittedColumn("row", "left"),
        FittedColumn("seed"),
        FittedColumn("state", "left"),
        FittedColumn("last written"),
        FittedColumn("at work", "left"),
    ]
    rows = [
        [plain(c.row), str(c.seed), plain(_state(c)), _ago(c.written), plain(c.at_work or "-")]
        for c in cells
    ]
    done = sum(cell.state in ("done", "diverged") for cell in cells)
    return FittedTable(title, columns, rows, keys=2, caption=f"{done} of {len(cells)} are done")


def forecast_table(found: Forecast, title: str) -> FittedTable:
    """Return one line per cell: how far it is, and roughly how long the rest of it takes."""
    columns = [
        FittedColumn("row", "left"),
        FittedColumn("seed"),
        FittedColumn("state", "left"),
        FittedColumn("training"),
        FittedColumn("attacks\nand checks"),
    ]
    rows = [
        [plain(c.row), str(c.seed), c.state, _about(c.training), _about(c.attacking)]
        for c in found.cells
    ]
    weights = sum(cell.weights for cell in found.cells) / 2**20
    at_once = "one after the other" if found.jobs == 1 else f"{found.jobs} at the same time"
    caption = (
        f"about {_about(found.seconds)} in all, {at_once}; {weights:.0f} MiB of weights. "
        f"Extrapolated from a few minibatches of each row; the times of attacks are rough "
        f"estimates. Nothing was stored."
    )
    return FittedTable(title, columns, rows, keys=2, caption=caption)


def gan_forecast_table(found: GanForecast, title: str) -> FittedTable:
    """Return one line per GAN: how far it is, and roughly how long the rest of it takes."""
    columns = [
        FittedColumn("row", "left"),
        FittedColumn("seed"),
        FittedColumn("state", "left"),
        FittedColumn("training"),
        FittedColumn("measuring"),
    ]
    rows = [
        [plain(c.row), str(c.seed), c.state, _about(c.training), _about(c.measuring)]
        for c in found.cells
    ]
    at_once = "one after the other" if found.jobs == 1 else f"{found.jobs} at the same time"
    caption = (
        f"about {_about(found.seconds)} in all, {at_once}. Extrapolated from a few steps of each "
        f"row and a few samples. Nothing was stored."
    )
    return FittedTable(title, columns, rows, keys=2, caption=caption)


def _about(seconds: float) -> str:
    if math.isnan(seconds):
        return "unknown"
    count, unit = _in_units(seconds)
    digits = 1 if unit in ("h", "days") else 0
    return f"{count:.{digits}f} {unit}" if seconds else "-"


def _state(cell: CellStatus) -> str:
    if cell.state in _COUNTED:
        unit = "columns" if cell.state == "attacking" else cell.unit
        return f"{cell.state}, {cell.finished} of {cell.of} {unit}"
    return f"{cell.state}: {cell.reason}" if cell.reason else cell.state


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    count, unit = _in_units(seconds)
    return f"{count:.0f} {unit} ago"


def _in_units(seconds: float) -> tuple[float, str]:
    """Return a duration in the largest unit of which it has two."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return seconds / size, unit
    return seconds, "s"
