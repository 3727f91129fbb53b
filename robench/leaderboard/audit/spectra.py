"""Compare the spectra of each cell with what spectra can be, and with the layers of its network."""

from collections.abc import Collection, Iterator
from itertools import groupby

from robench.board.cells import Cell
from robench.leaderboard.audit.costs import facts_of_board
from robench.leaderboard.audit.networks import Operators, network_for, operators_of
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.runs.records import LayerSpectrum

ROUNDING = 1e-5
"""Relative error of figures that are published with six digits."""

LOOSEST = 1.2
"""Largest ratio of a norm's bound to the norm: n singular values make it n^(1/128)."""

NOT_LINEAR = "not linear"
"""The operator of a layer that has no figures."""


def spectra_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where spectra are impossible or not those of the network's layers."""
    facts = facts_of_board(board)
    first: dict[str, PublishedCell] = {}
    for cell in board.cells:
        spec, found = cell.file.cell, cell.file.spectra
        if not found or not isinstance(spec, Cell):
            continue
        where = f"'{cell.row}', seed {cell.seed}:"
        for layer in found:
            if problem := _impossible(layer):
                name = f"{layer.layer[:80]} ({layer.operator[:20]})"
                yield f"{where} the spectrum of {name} {problem}."
        wanted = None
        if facts is not None and facts.classes is not None:
            wanted = operators_of(network_for(spec, facts, facts.classes), spec)
        other = first.setdefault(cell.row, cell)
        if wanted is not None and (odd := _odd(found, wanted)):
            yield f"{where} its spectra are not of the layers of its network: {odd[:80]}."
        elif _layers(found) != _layers(other.file.spectra):
            yield f"{where} its spectra are of other layers than those of seed {other.seed}."


def spectra_notes(board: Leaderboard, rerun: Collection[str] = ()) -> list[str]:
    """Return of which rows the spectra are on trust, as one sentence.

    Args:
        board: the board as read.
        rerun: the titles of the rows that were rerun, which measures their layers.
    """
    rows = dict.fromkeys(f"'{c.row}'" for c in board.cells if c.file.spectra and c.row not in rerun)
    return [f"the spectra of {', '.join(rows)}, which were not measured again."] if rows else []


def _impossible(found: LayerSpectrum) -> str | None:
    """Return what no operator has, or None; None stands for what is not finite."""
    median, most = found.channel_condition_median, found.channel_condition_max
    norm, bound = found.norm, found.norm_bound
    figures = (median, most, norm, found.condition, bound, found.padded_norm)
    if found.operator == NOT_LINEAR:
        return "has figures" if any(figure is not None for figure in figures) else None
    for name, value in (("condition", found.condition), ("channels", median), ("channels", most)):
        if value is not None and not value >= 1 - ROUNDING:
            return f"has a condition number below 1 ({name}: {value:g})"
    if most is not None and not (median is not None and median <= most * (1 + ROUNDING)):
        return "has a median above the maximum"
    if any(value is not None and not value >= 0 for value in (norm, bound, found.padded_norm)):
        return "has a negative norm"
    if (norm is None) is not (bound is None):
        return "has a norm without a bound, or a bound without a norm"
    if norm is not None and bound is not None and not norm <= bound * (1 + ROUNDING):
        return f"has a norm of {norm:g}, above its bound {bound:g}"
    if norm is not None and bound is not None and not bound <= LOOSEST * norm:
        return f"has a bound of {bound:g}, far above its norm {norm:g}"
    return None


def _layers(found: Collection[LayerSpectrum]) -> list[str]:
    return [name for name, _ in groupby(layer.layer for layer in found)]


def _odd(found: Collection[LayerSpectrum], wanted: Operators) -> str | None:
    """Return the first layer that is missing, surplus or has other operators; None if none is."""
    parts = {
        name: tuple(layer.operator for layer in part)
        for name, part in groupby(found, key=lambda layer: layer.layer)
    }
    for name, operators in wanted:
        if parts.get(name) not in (operators, (NOT_LINEAR,)):
            return f"'{name}'"
    if surplus := [name for name in parts if name not in dict(wanted)]:
        return f"'{surplus[0]}'"
    return None if list(parts) == list(dict(wanted)) else "their order"
