"""Certified accuracy against the radius, and what attacks leave there."""

from typing import TYPE_CHECKING

import numpy as np

from robench.leaderboard.certified import certificates
from robench.leaderboard.page.cells import cells_of_rows
from robench.leaderboard.page.charts import Chart
from robench.leaderboard.page.wording import listed, percent

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard, PublishedCell

POINTS = 48
"""Number of radii, evenly spaced, besides those of the board's columns."""


def accuracy_against_radius(board: "Leaderboard") -> Chart | None:
    """Return certified and attacked accuracy against the radius; None without certificates.

    The points of a row are ``[radius, certified, attacked]``, all seeds pooled: ``attacked`` is the
    accuracy under the strongest of the board's attacks with that radius, None if it has none.
    """
    names = certificates(board.columns)
    if not names:
        return None
    first = board.columns[names[0]].proves
    assert first is not None
    balls = {n: c.threat_model for n, c in board.columns.items() if c.threat_model}
    attacks = {name: ball.eps for name, ball in balls.items() if ball.norm == first.norm}
    proofs = (board.columns[name].proves for name in names)
    marked = sorted({p.eps for p in proofs if p and p.norm == first.norm} | {*attacks.values()})
    curves = {
        index: _curve([cell for cell in cells if cell.outcomes], names[0], marked, attacks)
        for index, cells in enumerate(cells_of_rows(board).values())
        if any(cell.outcomes for cell in cells)
    }
    titles = board.table["defense"].astype(str)
    at = {str(titles[i]): _at(points, first.eps) for i, points in curves.items()}
    best = max(at.values(), default=0.0)
    who = listed([name for name, share in at.items() if share == best])
    return {
        "norm": first.norm.capitalize(),
        "marked": marked,
        "names": ["radius", "certified", "attacked"],
        "curves": curves,
        "summary": f"At radius {first.eps:.4g}, at most {percent(best)}% certified ({who}).",
    }


def _curve(
    cells: "list[PublishedCell]", name: str, marked: list[float], attacks: dict[str, float]
) -> list[list[float | None]]:
    proofs = [cell.outcomes[name] for cell in cells]
    correct = np.concatenate([proof.correct for proof in proofs])
    radii = np.concatenate([proof.l2 for proof in proofs]).astype(np.float64)
    end = max([*marked, float(radii.max(initial=0))])
    grid = sorted({*marked, *np.linspace(0, end, POINTS).tolist()})
    shares = [round(float((correct & (radii >= r)).mean()), 6) for r in grid]
    return [
        [round(r, 5), share, _attacked(cells, r, attacks)]
        for r, share in zip(grid, shares, strict=True)
    ]


def _attacked(
    cells: "list[PublishedCell]", radius: float, attacks: dict[str, float]
) -> float | None:
    """Return the lowest accuracy under the attacks with this radius, mean over the seeds."""
    found = [
        float(np.mean([cell.outcomes[name].accuracy for cell in cells]))
        for name, eps in attacks.items()
        if eps == radius
    ]
    return round(min(found), 6) if found else None


def _at(points: list[list[float | None]], radius: float) -> float:
    return next(float(p[1] or 0) for p in points if p[0] == round(radius, 5))
