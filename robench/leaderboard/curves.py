"""Training curves: accuracy and loss against iterations and seconds."""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from robench.board.cells import Cell
from robench.board.specs import TrainingSpec
from robench.errors import UserError
from robench.runs.records import BoardResult
from robench.system.figures import CURVES, legend_name, new_figure, plain_text, save_figure

MEASURES = (("val_accuracy", "validation accuracy, %", 100), ("train_loss", "training loss", 1))
AXES = (("iteration", "iterations"), ("seconds", "seconds of training"))
COLUMNS = (
    "defense", "seed", "epoch", "iteration", "seconds", "lr", "train_loss", "train_accuracy",
    "val_accuracy",
)  # fmt: skip


def training_curves(result: BoardResult) -> pd.DataFrame:
    """Return one line per row, seed and epoch; none for networks that were not trained here.

    ``iteration`` counts optimizer steps from the beginning, including free replays; ``seconds`` is
    the cumulative time of the epochs, without validation; ``val_accuracy`` is the clean accuracy on
    the held-out part.
    """
    lines = []
    for row in result.rows:
        for cell in row.cells:
            spec = cell.evidence.cell
            if not isinstance(spec, Cell):
                continue
            seconds, passes = 0.0, _steps_per_minibatch(spec.training)
            for epoch in cell.evidence.training:
                count, seconds = epoch.get("epoch") or 0, seconds + (epoch.get("seconds") or 0)
                logged = {name: epoch[name] for name in COLUMNS if name in epoch}
                steps = passes * _minibatches(spec.training, epoch)
                made = {"iteration": count * steps, "seconds": seconds}
                lines.append({"defense": row.title, "seed": cell.seed, **logged, **made})
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _steps_per_minibatch(recipe: TrainingSpec) -> float:
    """Return it; nan if the training method belongs to a plugin that is not loaded."""
    try:
        return recipe.build_method().steps_per_minibatch
    except UserError:
        return math.nan


def _minibatches(recipe: TrainingSpec, epoch: Mapping[str, float | None]) -> float:
    """Return their number in an epoch; nan if the log does not say how many images there were."""
    images = (epoch.get("images_per_second") or math.nan) * (epoch.get("seconds") or math.nan)
    return math.nan if math.isnan(images) else math.ceil(round(images) / recipe.batch_size)


def draw_curves(curves: pd.DataFrame, rows: list[str], caption: str, path: Path) -> None:
    """Draw accuracy and loss against iterations and seconds, one curve per row.

    A curve is the mean over the seeds; its band spans all of them.

    Args:
        curves: the table of :func:`training_curves`.
        rows: titles in the order of the legend; the first
            :data:`CURVES <robench.system.figures.CURVES>` are drawn.
        caption: what was trained and with which code, printed below.
        path: ``.svg``, ``.png`` or ``.pdf``.
    """
    shown = rows[:CURVES]
    figure = new_figure(9.5, 6.2)
    panels = figure.subplots(2, 2)
    for across, (measure, label, unit) in enumerate(MEASURES):
        for along, (axis, name) in enumerate(AXES):
            axes = panels[across][along]
            for row in shown:
                epochs = curves[curves["defense"] == row].groupby("epoch")
                x, y = epochs[axis].mean(), unit * epochs[measure].mean()
                (line,) = axes.plot(x, y, marker="." if len(x) < 30 else "", label=legend_name(row))
                low, high = unit * epochs[measure].min(), unit * epochs[measure].max()
                axes.fill_between(x, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
            axes.set_xlabel(name)
            axes.set_ylabel(label)
            axes.grid(alpha=0.3)
    left = f"; the first {CURVES} of {len(rows)} rows" if len(rows) > CURVES else ""
    figure.legend(
        *panels[0][0].get_legend_handles_labels(), loc="outside right upper", fontsize="small"
    )
    figure.supxlabel(plain_text(caption + left), fontsize="x-small", x=0.0, ha="left")
    save_figure(figure, path)
