"""Rerun rows of a published leaderboard, and collect what differs from what was published."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from robench.data import DataSet, load_dataset
from robench.data.load import is_of_hub
from robench.errors import UserError, shortened
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun.cell import rerun_cell
from robench.leaderboard.rerun.challenges import check_challenges
from robench.leaderboard.rerun.comparing import NOT
from robench.leaderboard.rerun.fresh import REFUTED, with_verdicts
from robench.leaderboard.rerun.options import RerunKeywords, RerunOptions
from robench.leaderboard.rerun.pooling import pool_problems
from robench.leaderboard.rerun.weights import weights_files
from robench.leaderboard.trust import unknown_to_all, untrusted

COLUMNS = ("defense", "seed", "column", "published", "found", "other_images", "verdict")


@dataclass(frozen=True, eq=False)
class Rerun:
    """The result of a rerun.

    Attributes:
        figures: one line per cell and column: ``defense``, ``seed``, ``column``, ``published`` and
            ``found`` accuracy, ``other_images``, the number of images on which the outcome differs,
            and ``verdict``.
        fresh: the same for the attacks with another seed, with the p-value ``p``; empty without.
        fresh_seed: that seed; None if there was none.
        problems: what else contradicts what was published, one sentence each.
        notes: what could not be reproduced and why, and differences that prove nothing.
        unchecked: what of a rerun network or of challenges could not be compared, one sentence
            each.
        challenges: how many challenges were predicted by their networks again.
        other_weights: the cells that were trained again and got other weights than the published
            ones: another machine rounds otherwise, or they are not those of the recipe.
    """

    figures: pd.DataFrame
    fresh: pd.DataFrame = field(default_factory=lambda: with_verdicts([]))
    fresh_seed: int | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    challenges: int = 0
    other_weights: tuple[str, ...] = ()

    @property
    def titles(self) -> list[str]:
        """The titles of the rows of which at least one network was rerun."""
        return [str(title) for title in self.figures["defense"].unique()]

    @property
    def rows(self) -> int:
        """The number of these rows."""
        return len(self.titles)

    @property
    def sound(self) -> bool:
        """Whether nothing that was recomputed contradicts what was published."""
        wrong = (self.figures["verdict"] == NOT).any() or (self.fresh["verdict"] == REFUTED).any()
        return not self.problems and not wrong


def rerun(board: Leaderboard, rows: Sequence[str], **keywords: Unpack[RerunKeywords]) -> Rerun:
    """Attack, check and measure the networks of rows again, and compare with what was published.

    Args:
        board: the board as read.
        rows: the titles of the rows.
        keywords: the fields of :class:`RerunOptions`.

    Raises:
        UserError: if the images are not those of the board, or an entry is not registered.
    """
    options = RerunOptions.of(**keywords)
    images = cache(partial(board_images, board, options.data, options.data_dir))
    challenged = check_challenges(board, images, options)
    if rows and (unknown := unknown_to_all(board)):
        return Rerun(
            pd.DataFrame(columns=[*COLUMNS]),
            problems=challenged.problems,
            notes=(untrusted(board, unknown, trust=options.trust_code),),
            unchecked=challenged.unchecked,
            challenges=challenged.predicted,
        )
    drawn = [cell for cell in board.cells if cell.row in rows]
    columns = max(1, sum(len(cell.outcomes) for cell in drawn))
    done = [rerun_cell(board, cell, images, options, columns) for cell in drawn]
    pooled = pool_problems([d.tally for d in done if d.tally])
    pooled += pool_problems(
        [d.fresh_tally for d in done if d.fresh_tally], seeds=f"the seed {options.fresh_seed}"
    )
    return Rerun(
        figures=pd.DataFrame([line for d in done for line in d.figures], columns=[*COLUMNS]),
        fresh=with_verdicts([line for d in done for line in d.fresh]),
        fresh_seed=options.fresh_seed,
        problems=(
            *(f"{d.name}: {text}" for d in done for text in d.problems),
            *pooled,
            *challenged.problems,
        ),
        notes=tuple(f"{d.name}: {text}" for d in done for text in d.notes),
        unchecked=(
            *(f"{d.name}: {text}" for d in done for text in d.unchecked),
            *challenged.unchecked,
        ),
        challenges=challenged.predicted,
        other_weights=tuple(d.name for d in done if d.other_weights),
    )


def draw_rows(
    board: Leaderboard, rows: str | int, seed: int, among: Sequence[str] | None = None
) -> list[str]:
    """Return the titles of ``rows`` rows, drawn at random, in the order of the board.

    Args:
        board: the board as read.
        rows: how many, as a number or as text, or ``all``.
        seed: the seed of the draw.
        among: draw only from these rows, in the order of the board; from all of them by default.

    Raises:
        UserError: if ``rows`` is neither a number nor ``all``.
    """
    titles = list(dict.fromkeys(cell.row for cell in board.cells)) if among is None else [*among]
    return draw_titles(titles, rows, seed)


def draw_titles(titles: Sequence[str], rows: str | int, seed: int) -> list[str]:
    """Return ``rows`` of these titles; see :func:`draw_rows`.

    Raises:
        UserError: as there.
    """
    titles = list(titles)
    if rows == "all":
        return titles
    text = "" if isinstance(rows, bool) else str(rows)  # True is no number of rows
    if not text.isdecimal() or len(text) > 9:
        raise UserError(f"rows is {shortened(repr(rows))}; give a number of rows, or 'all'.")
    count = min(int(text), len(titles))
    drawn = np.random.default_rng(seed).choice(len(titles), size=count, replace=False)
    return [titles[i] for i in sorted(drawn)]


def rows_with_weights(board: Leaderboard, stores: Sequence[str | Path]) -> list[str]:
    """Return the titles of the rows whose weights are here, of every seed that has any."""
    lacking = {
        cell.row
        for cell in board.cells
        if cell.file.manifest is not None and not weights_files(board.folder, cell, stores)
    }
    return [title for title in rows_trained(board) if title not in lacking]


def rows_trained(board: Leaderboard) -> list[str]:
    """Return the titles of the rows that have weights somewhere: not every seed diverged."""
    return list(dict.fromkeys(c.row for c in board.cells if c.file.manifest is not None))


def board_images(board: Leaderboard, data: str | None, data_dir: str | Path | None) -> DataSet:
    """Return the data set of a board.

    Args:
        board: the board as read.
        data: its name here; that of the board by default.
        data_dir: the folder that holds it.

    Raises:
        UserError: if it is not here, or its images are not those of the board.
    """
    # Its name in tables has the commit that was read, which may be no longer the newest.
    own = board.dataset if is_of_hub(board.dataset) else board.board.data.name
    dataset = load_dataset(data or own, data_dir)
    wanted = board.cells[0].file.cell.data_hash
    if dataset.fingerprint != wanted:
        raise UserError(
            f"{dataset.name} has the fingerprint {dataset.fingerprint[:16]}, but the board's data "
            f"have {wanted[:16]}; name the same data with --data or --data-dir."
        )
    return dataset
