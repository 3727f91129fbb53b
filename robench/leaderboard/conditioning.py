"""Spectra of a board's networks as tables, and their condition numbers against the baseline."""

import math

import pandas as pd

from robench.diagnostics.comparison import condition_ratios
from robench.runs.records import BoardResult, CellResult, LayerSpectrum, RowResult

FIGURES = tuple(name for name in LayerSpectrum.model_fields if name not in ("layer", "operator"))


def spectra_table(result: BoardResult) -> pd.DataFrame:
    """Return one line per row, seed, layer and operator; empty if no spectra are stored."""
    parts = [
        _table(cell).assign(defense=row.title, seed=cell.seed)
        for row in result.rows
        for cell in row.cells
        if cell.evidence.spectra
    ]
    columns = ["defense", "seed", "layer", "operator", *FIGURES]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def ratios(result: BoardResult, row: RowResult) -> dict[str, float]:
    """Return the averages of cond(baseline) / cond(row) over the layers, mean over the seeds.

    Each seed is compared with the baseline's network of the same seed (Table 9 of the ConvNorm
    paper).

    Returns:
        Kind of average over the layers, ``arithmetic`` or ``geometric`` -> mean over the seeds;
        nan if a seed or its baseline has no spectra.
    """
    base = next((r for r in result.rows if r.title == result.board.baseline_row), None)
    references = {c.seed: c for c in base.cells} if base else {}
    found = []
    for cell in row.cells:
        reference = references.get(cell.seed)
        if reference is None or not reference.evidence.spectra or not cell.evidence.spectra:
            continue
        table = condition_ratios(_as_measured(reference), _as_measured(cell))
        found.append(table[table["operator"] == "convolution"])
    kinds = ("arithmetic", "geometric")
    if len(found) < len(row.cells):
        return dict.fromkeys(kinds, math.nan)
    together = pd.concat(found)
    return {kind: float(together[kind].mean()) for kind in kinds}


def _table(cell: CellResult) -> pd.DataFrame:
    rows = pd.DataFrame([line.model_dump() for line in cell.evidence.spectra])
    return rows.astype(dict.fromkeys(FIGURES, float))


def _as_measured(cell: CellResult) -> pd.DataFrame:
    """Return the spectra as :func:`robench.spectra` does: singular operators have inf."""
    table = _table(cell)
    singular = table["condition"].isna() & table["norm"].notna()
    return table.assign(condition=table["condition"].mask(singular, math.inf))
