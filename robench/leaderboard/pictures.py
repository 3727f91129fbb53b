"""The figures in a leaderboard's folder: training curves, and the spectra of the layers."""

from pathlib import Path

import pandas as pd

from robench.diagnostics.figure import draw_spectra
from robench.leaderboard.conditioning import spectra_table
from robench.leaderboard.curves import draw_curves, training_curves
from robench.runs.records import BoardResult


def draw_pictures(result: BoardResult, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw ``curves.svg`` and ``spectra.svg``, each only if there are data to draw.

    Args:
        result: the finished board.
        table: its leaderboard, which gives the order of the rows.
        folder: the folder of the leaderboard.

    Returns:
        The files.
    """
    spec, titles = result.board, [str(title) for title in table["defense"]]
    versions = " ".join(sorted({v for text in table["version"] for v in str(text).split()}))
    part = f", {100 * spec.data.subset:g}% of the training images" if spec.data.subset < 1 else ""
    images = f"{result.dataset}{part}, {spec.model.name} of width {spec.model.width}"
    written = []
    curves = training_curves(result)
    if curves["epoch"].nunique() > 1:
        seeds = f"seeds {', '.join(map(str, spec.seeds))}"
        path = folder / "curves.svg"
        drawn = [title for title in titles if (curves["defense"] == title).any()]
        draw_curves(curves, drawn, f"{images}, {seeds}; robench {versions}", path)
        written.append(path)
    found = spectra_table(result)
    if len(found):
        first = found[found["seed"] == spec.seeds[0]]
        networks = {title: first[first["defense"] == title] for title in titles}
        path = folder / "spectra.svg"
        nonempty = {k: v for k, v in networks.items() if len(v)}
        caption = f"{images}, seed {spec.seeds[0]}; robench {versions}"
        draw_spectra(nonempty, caption, path)
        written.append(path)
    return written
