"""The files that ``robench attack --out`` writes."""

from pathlib import Path

import pandas as pd
from torch import Tensor

from robench.data.selection import Selection
from robench.evaluation import Evaluation
from robench.evaluation.queries import draw_success, success_curve
from robench.system.files import write_text


def write_attack(result: Evaluation, table: pd.DataFrame, title: str, path: Path) -> list[Path]:
    """Write the table, and success against queries for the attacks that report queries.

    Args:
        result: the outcomes.
        table: their table, with what the checks found.
        title: a description of the network and the images.
        path: the file of the table; ``NAME.queries.csv`` and ``NAME.queries.svg`` go next to it.

    Returns:
        The files written.
    """
    write_text(path, table.to_csv(index=False))
    curves = {name: success_curve(result.attacks[name]) for name in result.queried}
    if not curves:
        return [path]
    points, picture = (path.with_suffix(f".queries.{ending}") for ending in ("csv", "svg"))
    rows = [curve.assign(attack=name) for name, curve in curves.items()]
    write_text(points, pd.concat(rows)[["attack", "queries", "success"]].to_csv(index=False))
    draw_success(curves, title, picture)
    return [path, points, picture]


def write_selection(selection: Selection, labels: Tensor, path: Path) -> Path:
    """Write which test images were attacked as ``NAME.images.csv``, next to the table ``path``.

    ``--indices`` reads this file again.
    """
    file = path.with_suffix(".images.csv")
    table = pd.DataFrame({"index": selection.indices.numpy(), "label": labels.numpy()})
    write_text(file, table.to_csv(index=False))
    return file


def write_cross_check(compared: pd.DataFrame, path: Path) -> Path:
    """Write a comparison of libraries as ``NAME.cross-check.csv``, next to the table ``path``."""
    file = path.with_suffix(".cross-check.csv")
    write_text(file, compared.to_csv(index=False))
    return file
