"""The data of the page's charts, one curve per row of the table, small enough to be embedded."""

import io
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from robench.base import ThreatModel
from robench.diagnostics.figure import PANELS
from robench.errors import UserError
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.queries import queries_at, success_curve
from robench.leaderboard.curves import training_curves
from robench.leaderboard.derived import SPECTRA
from robench.leaderboard.page.cells import (
    cells_of_rows,
    counts_queries,
    report_of,
    threat_model,
    times_note,
)
from robench.leaderboard.page.conditioning import conditioning_summary
from robench.leaderboard.page.sharing import thinned
from robench.leaderboard.page.wording import listed, percent, threat_model_text, times
from robench.system.reading import DOCUMENT_BYTES, read_text

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard, PublishedCell

Chart = dict[str, Any]
"""JSON: ``summary`` describes the chart; ``curves`` maps a row's index to its list of points, whose
figures are called ``names`` in a CSV file."""

STEPS = 60
"""Largest number of points kept of a curve."""

QUANTILES = (0.25, 0.5, 0.75)
"""Shares of the attacked images whose numbers of queries are shown."""


def accuracy_against_eps(board: "Leaderboard") -> Chart | None:
    """Return the checks' accuracy against the radius, mean over seeds; None if none is stored.

    Points are ``[eps, accuracy]``.
    """
    curves: dict[int, list[list[float]]] = {}
    samples: set[int] = set()
    for index, cells in enumerate(cells_of_rows(board).values()):
        reports = [report for cell in cells if (report := report_of(cell)) and report.curve]
        accuracies: dict[float, list[float]] = defaultdict(list)
        for report in reports:
            samples.add(report.samples)
            for eps, accuracy in report.curve:
                accuracies[eps].append(accuracy)
        if reports:
            curves[index] = [[e, round(fmean(a), 6)] for e, a in sorted(accuracies.items())]
    if not curves:
        return None
    model = threat_model(board)
    return {
        "norm": model[0].capitalize() if model else "",
        "eps": model[1] if model else None,
        "radius": threat_model_text(model).partition(" ")[2],
        "samples": max(samples),
        "names": ["eps", "accuracy"],
        "curves": curves,
        "summary": _eps_summary(board, curves, model),
    }


def success_against_queries(board: "Leaderboard") -> list[Chart]:
    """Return one chart per query-counting attack: success rate against queries.

    Points are ``[queries, share of the attacked images]``, all seeds of a row pooled. ``quantiles``
    are the queries at each share of ``shares``, of all steps: those kept of a curve are fewer.
    """
    return [chart for column in counts_queries(board) if (chart := _queries(board, column))]


def accuracy_against_cost(board: "Leaderboard") -> Chart:
    """Return ``[training cost, accuracy, low, high]`` of each row that has figures.

    ``note`` says if the costs are not of one machine.
    """
    column = board.board.evaluation.ranking_column
    names = ["train_cost", *(f"{column}_{end}" for end in ("mean", "low", "high"))]
    found = board.table[names].astype(float).round(6)
    points = {
        index: [float(v) for v in row]
        for index, row in enumerate(found.to_numpy())
        if np.isfinite(row).all()
    }
    summary = ""
    if points:
        titles = board.table["defense"]
        cheapest, costliest = (pick(points, key=lambda i: points[i][0]) for pick in (min, max))
        summary = " ".join(
            f"{word}: {titles[i]}, {times(points[i][0])} at {percent(points[i][1])}%."
            for word, i in (("Lowest cost", cheapest), ("Highest cost", costliest))
        )
    baseline = board.board.baseline or board.board.titles[0]
    return {
        "column": column,
        "baseline": baseline,
        "names": names,
        "curves": points,
        "note": times_note(board),
        "summary": summary,
    }


def accuracy_against_iterations(board: "Leaderboard") -> Chart | None:
    """Return ``[iteration, validation accuracy]`` of each row, mean over the seeds.

    A row with a single epoch has no curve; without any curve, the chart is None.
    """
    measured = training_curves(board.result).astype({"iteration": float, "val_accuracy": float})
    found = measured[np.isfinite(measured[["iteration", "val_accuracy"]]).all(axis=1)]
    means = found.groupby(["defense", "epoch"])[["iteration", "val_accuracy"]].mean()
    curves: dict[int, list[list[float]]] = {}
    ends: dict[int, float] = {}
    for index, (title, cells) in enumerate(cells_of_rows(board).items()):
        points = means.loc[title].to_numpy().tolist() if title in means.index else []
        if len(points) > 1:
            kept = thinned(points, STEPS)
            curves[index] = [[int(steps), round(float(share), 6)] for steps, share in kept]
            if not any(cell.result.diverged for cell in cells):  # it did not come to an end
                ends[index] = curves[index][-1][1]
    if not curves:
        return None
    return {
        "names": ["iteration", "val_accuracy"],
        "curves": curves,
        "summary": f"At the end, {_ends(board, ends, 'correct')}" if ends else "",
    }


def spectra(board: "Leaderboard") -> Chart | None:
    """Return conditioning and norm of each network's layers; None if there are no spectra.

    Raises:
        UserError: if ``spectra.csv`` is not a table of spectra.
    """
    path = board.folder / "spectra.csv"
    if not path.is_file():
        return None
    try:
        table = board.derived[SPECTRA] if SPECTRA in board.derived else _read(path)
        if "defense" in table:  # published by a board: take each row's first seed
            first = table.groupby("defense")["seed"].transform("first")
            table = table[table["seed"] == first].rename(columns={"defense": "network"})
        table = table[table["operator"] == "convolution"]
        networks = {
            str(name): {column: _figures(part[column]) for column, _ in PANELS}
            for name, part in table.groupby("network", sort=False)
        }
        layers = [str(layer) for layer in table["layer"].unique()]
        lengths = {len(v) for columns in networks.values() for v in columns.values()}
        summary = conditioning_summary(table)
    except UserError:
        raise
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not a table of spectra ({error}); write it again.") from error
    if lengths != {len(layers)} or not summary:
        return None  # networks with different layers have no common axis
    return {
        "panels": [list(panel) for panel in PANELS],
        "layers": layers,
        "networks": networks,
        "summary": summary,
    }


def _read(path: Path) -> pd.DataFrame:
    """Read what ``robench spectra`` wrote beside a board."""
    return pd.read_csv(io.StringIO(read_text(path, longest=DOCUMENT_BYTES, inside=path.parent)))


def _queries(board: "Leaderboard", column: str) -> Chart | None:
    curves: dict[int, list[list[float]]] = {}
    quantiles: dict[int, list[float]] = {}
    samples = 0
    for index, cells in enumerate(cells_of_rows(board).values()):
        evaluated = [cell for cell in cells if column in cell.outcomes]
        pooled = _pooled(evaluated, column)
        if pooled is None or not pooled.correct.any():
            continue
        samples = len(pooled) // len(evaluated)
        curve = success_curve(pooled)
        quantiles[index] = [queries_at(curve, share) for share in QUANTILES]
        steps = [[int(q), round(float(s), 6)] for q, s in curve.itertuples(index=False)]
        end = int(pooled.queries[pooled.correct].max())
        last = steps[-1][1] if steps else 0.0
        curves[index] = [[0, 0.0], *thinned(steps, STEPS), [end, last]]
    if not curves:
        return None
    return {
        "column": column,
        "samples": samples,
        "names": ["queries", "success"],
        "curves": curves,
        "shares": list(QUANTILES),
        "quantiles": quantiles,
        "summary": "At the end, "
        + _ends(board, {i: points[-1][1] for i, points in curves.items()}, "success"),
    }


def _pooled(cells: "list[PublishedCell]", column: str) -> Outcomes | None:
    if not cells:
        return None
    several = [cell.outcomes[column] for cell in cells]
    names = [field.name for field in fields(Outcomes)]
    return Outcomes(**{name: np.concatenate([getattr(o, name) for o in several]) for name in names})


def _eps_summary(board: "Leaderboard", curves: dict[int, Any], model: ThreatModel | None) -> str:
    at = {
        index: accuracy
        for index, points in curves.items()
        for e, accuracy in points
        if model and abs(e - model[1]) < 1e-9
    }
    return f"At {threat_model_text(model)}: {_ends(board, at, 'correct')}" if at else ""


def _ends(board: "Leaderboard", shares: dict[int, float], word: str) -> str:
    """Return the lowest and highest share with the names of their rows."""
    titles = board.table["defense"]
    parts = []
    for share in sorted({min(shares.values()), max(shares.values())}):
        names = [str(titles[i]) for i, value in shares.items() if value == share]
        who = listed(names) if len(names) <= 3 else f"{len(names)} rows"
        parts.append(f"{percent(share)}% ({who})")
    return f"from {parts[0]} to {parts[1]} {word}." if len(parts) == 2 else f"{parts[0]} {word}."


def _figures(column: "pd.Series[float]") -> list[float | None]:
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in column]
