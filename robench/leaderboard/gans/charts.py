"""The charts of a board of GANs: curves over the steps of the trainings."""

from statistics import fmean
from typing import Any

import pandas as pd

from robench.leaderboard.evidence import TABLE
from robench.leaderboard.gans.files import CURVES, METRICS
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.page.sharing import thinned

POINTS = 120
"""Largest number of points kept of a curve."""


def gan_charts(board: GanLeaderboard) -> list[dict[str, Any]]:
    """Return the charts: curves by row, mean over the seeds, as ``[step, value]``."""
    metric = next(iter(board.board.columns(board.extractor)))
    base = metric.removesuffix(f"_{board.board.measure.protocols[0].name}")
    made = board.computed
    charts = []
    if METRICS in made and board.board.measure.snapshots:
        first = board.board.measure.protocols[0].name
        metrics = made[METRICS]
        on_the_way = metrics[(metrics["protocol"] == first)]
        charts.append(_chart(board, "distance", f"{base} over the steps", base, on_the_way))
    for name, label in (
        ("discriminator_loss", "loss of the discriminator"),
        ("generator_loss", "loss of the generator"),
        ("diversity", "diversity of samples, images = 1"),
    ):
        if CURVES in made:
            title = label[0].upper() + label[1:]
            charts.append(_chart(board, name, title, name, made[CURVES], label))
    return [chart for chart in charts if chart["curves"]]


def _chart(
    board: GanLeaderboard,
    name: str,
    title: str,
    column: str,
    table: pd.DataFrame,
    label: str = "",
) -> dict[str, Any]:
    curves: dict[int, list[list[float]]] = {}
    means = table.groupby(["defense", "step"])[column].mean()
    known = set(table["defense"])
    for index, row_title in enumerate(board.computed[TABLE]["defense"]):
        if row_title in known:
            points = [
                [int(step), float(f"{value:.6g}")] for step, value in means[row_title].items()
            ]
            curves[index] = thinned(points, POINTS)
    ends = {index: points[-1][1] for index, points in curves.items()}
    return {
        "id": name,
        "title": title,
        "label": label or column,
        "names": ["step", column],
        "curves": curves,
        "summary": _summary(board, ends),
    }


def _summary(board: GanLeaderboard, ends: dict[int, float]) -> str:
    """Return the least and the largest last value of a chart's curves as a sentence."""
    if not ends:
        return ""
    titles = board.computed[TABLE]["defense"]
    least, most = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    return (
        f"At the end, from {ends[least]:.4g} ({titles[least]}) to {ends[most]:.4g} "
        f"({titles[most]}); mean {fmean(ends.values()):.4g}."
    )
