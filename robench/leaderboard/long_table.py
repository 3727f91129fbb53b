"""The outcome of every image as one long table, for analyses of one's own."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robench.errors import UserError
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun.run import board_images
from robench.runs.attack_cell import evaluation_images


def long_table(board: Leaderboard, labels: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Return one line per row, seed, column and test image; none for networks that diverged.

    ``defense`` and ``seed`` name the network, ``attack`` the column (``clean`` is one), with
    ``norm`` and ``eps`` of its threat model or, of a certificate, of the ball within which it
    proves, if it has one. ``image`` is the place among the images that the board evaluates, as in
    ``robench challenge``; ``label`` its true class, if labels are given. The others are the
    attributes of :class:`robench.evaluation.Outcomes`.

    Args:
        board: the leaderboard; its outcomes are read one after the other.
        labels: (samples,), the true classes; see :func:`true_classes`.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    parts = []
    for cell in board.cells:
        for attack, outcomes in cell.outcomes.items():
            column = board.columns[attack]
            norm, eps = column.threat_model or column.proves or ("", np.nan)
            images = np.arange(len(outcomes))
            names = {"defense": cell.row, "seed": cell.seed, "attack": attack}
            label = {} if labels is None else {"label": labels[images]}
            columns = {**names, "norm": norm, "eps": eps, "image": images, **label}
            parts.append(pd.DataFrame({**columns, **vars(outcomes)}))
    if not parts:
        raise UserError(f"{board.name} has no outcomes: the training of every network diverged.")
    return pd.concat(parts, ignore_index=True)


def true_classes(
    board: Leaderboard, data: str | None = None, data_dir: Path | None = None
) -> NDArray[np.int64]:
    """Return the true class of each image that a board evaluates; (samples,).

    Args:
        board: the leaderboard.
        data: the data set, if it cannot be loaded by its name.
        data_dir: the folder where it is.

    Raises:
        UserError: if the data set is not here, or is another than the board's.
    """
    sample = evaluation_images(board_images(board, data, data_dir), board.board.evaluation.samples)
    return sample.labels.numpy()


def check_parquet() -> None:
    """Check that Parquet files can be written.

    Raises:
        UserError: if pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UserError(
            "--format parquet needs the package pyarrow: pip install 'robench[parquet]'."
        ) from None


def to_parquet(table: pd.DataFrame) -> bytes:
    """Return a table as the content of a Parquet file; see :func:`check_parquet`."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()
