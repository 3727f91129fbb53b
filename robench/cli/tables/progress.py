"""The tables of ``robench status`` and ``robench run --dry-run``."""

import math
from collections.abc import Sequence

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import plain
from robench.commands.forecast import CellForecast, Forecast
from robench.commands.gan_forecast import GanForecast, GanForecastCell
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
    weights = sum(cell.weights for cell in found.cells) / 2**20
    return _left_to_do(
        found, title, "attacks\nand checks", [cell.attacking for cell in found.cells],
        f"; {weights:.0f} MiB of weights. Extrapolated from a few minibatches of each row; the "
        f"times of attacks are rough estimates.",
    )  # fmt: skip


def gan_forecast_table(found: GanForecast, title: str) -> FittedTable:
    """Return one line per GAN: how far it is, and roughly how long the rest of it takes."""
    return _left_to_do(
        found, title, "measuring", [cell.measuring for cell in found.cells],
        ". Extrapolated from a few steps of each row and a few samples.",
    )  # fmt: skip


def _left_to_do(
    found: Forecast | GanForecast, title: str, after: str, seconds: Sequence[float], made: str
) -> FittedTable:
    """Return one line per cell.

    Args:
        found: what is left.
        title: that of the board.
        after: what comes after training.
        seconds: how long that takes, for each cell.
        made: how the times were found, for the caption.
    """
    columns = [
        FittedColumn("row", "left"),
        FittedColumn("seed"),
        FittedColumn("state", "left"),
        FittedColumn("training"),
        FittedColumn(after),
    ]
    cells: Sequence[CellForecast | GanForecastCell] = found.cells
    rows = [
        [plain(cell.row), str(cell.seed), cell.state, _about(cell.training), _about(left)]
        for cell, left in zip(cells, seconds, strict=True)
    ]
    at_once = "one after the other" if found.jobs == 1 else f"{found.jobs} at the same time"
    caption = f"about {_about(found.seconds)} in all, {at_once}{made} Nothing was stored."
    if math.isnan(found.seconds):
        why = "this machine lacks the device of the run, or a row diverges"
        caption = f"{at_once}; the time in all is not known: {why}. Nothing was stored."
    if found.seconds == 0:
        caption = "Nothing is left to compute."
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
