"""What ``robench verify`` and ``robench check-submission`` print."""

from collections.abc import Iterator, Sequence

import pandas as pd

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.gan_boards import TRUSTED as GANS_TRUSTED
from robench.cli.tables.words import on_trust, plain
from robench.commands.verify import TRUSTED, Verification, recomputed
from robench.leaderboard.rerun import Rerun
from robench.leaderboard.submission import Checked

Lines = Iterator[str | FittedTable]


def rerun_table(figures: pd.DataFrame, how: str) -> FittedTable:
    """Return the figures that ``robench verify`` reproduced, one row per cell and column."""
    headers = [
        FittedColumn("defense", "left"),
        FittedColumn("seed"),
        FittedColumn("column", "left"),
        *(FittedColumn(name) for name in ("published", "found", "changed\npredictions")),
        FittedColumn("result", "left"),
    ]
    rows = [
        [
            plain(row["defense"]),
            str(row["seed"]),
            plain(row["column"]),
            *(f"{100 * row[name]:.1f}%" for name in ("published", "found")),
            f"{row['other_images']} images",
            plain(row["verdict"]),
        ]
        for row in figures.to_dict("records")
    ]
    return FittedTable(how, headers, rows, keys=3)


def verification_lines(found: Verification, *, retrain: bool, alone: bool = True) -> Lines:
    """Return what ``robench verify`` prints for one leaderboard.

    Args:
        found: the result of the verification.
        retrain: whether the networks were retrained.
        alone: whether no other leaderboard is verified; if one is, :func:`trusted_lines` go at the
            end of all.
    """
    board = found.leaderboard
    if found.rerun is None:
        yield from (f"wrong: {problem}" for problem in found.problems)
        return
    yield (
        f"{board.name}: {len(board.table)} rows, {len(board.cells)} cells; checksums, "
        f"specifications, hashes and every figure agree with the outcomes."
    )
    yield from (f"wrong: {problem}" for problem in found.rerun.problems)
    yield from found.rerun.notes
    yield from _rerun_tables(found.rerun, "retrained" if retrain else "attacked again")
    yield _how_many(found.rerun, len(board.table), found.drawn, found.seed, retrain=retrain)
    yield f"recomputed: {'; '.join(found.recomputed)}."
    if alone:
        yield on_trust(TRUSTED)
    yield from (f"not checked: {sentence}" for sentence in found.unchecked)


def trusted_lines(*, classifiers: bool, gans: bool) -> Lines:
    """Return what ``robench verify`` prints at the end of several leaderboards.

    Args:
        classifiers: whether a board of classifiers was verified.
        gans: whether a board of GANs was.
    """
    if classifiers:
        yield on_trust(TRUSTED, " in each board of classifiers" if gans else " in each board")
    if gans:
        yield on_trust(GANS_TRUSTED, " in each board of GANs" if classifiers else " in each board")


def checked_lines(checked: Checked) -> Lines:
    """Return what ``robench check-submission`` prints.

    Args:
        checked: the result of the check.
    """
    yield from (f"wrong: {problem}" for problem in checked.problems)
    yield from checked.notes
    if checked.rerun is None:
        return
    yield from _rerun_tables(checked.rerun, "attacked again")
    yield _how_many(
        checked.rerun, len(checked.board.table), checked.drawn, checked.seed, retrain=False
    )
    yield f"recomputed: {'; '.join(recomputed(checked.rerun))}."
    yield on_trust(TRUSTED)
    yield from (f"not checked: {sentence}" for sentence in checked.unchecked)
    if checked.sound:
        unread = " in what was checked" if checked.notes else ""
        yield f"Nothing wrong was found{unread}."


def _rerun_tables(again: Rerun, how: str) -> Lines:
    if len(again.figures):
        yield rerun_table(again.figures, how)
    if len(again.fresh):
        yield rerun_table(again.fresh, f"attacked with --fresh-seed {again.fresh_seed}")


def _how_many(again: Rerun, rows: int, drawn: Sequence[str], seed: int, *, retrain: bool) -> str:
    done = "retrained" if retrain else "attacked again"
    if again.rows:
        how = f" (drawn with --seed {seed})" if len(drawn) < rows else ""
        return f"{again.rows} of {rows} rows {done}{how}."
    why = "no weights here" if drawn and not retrain and _only_weights(again) else ""
    why = why or ("none was asked for" if not drawn else "see above")
    return f"0 of {rows} rows {done}: {why}. Only the files were compared."


def _only_weights(again: Rerun) -> bool:
    """Return whether weights are all that a rerun lacked."""
    return all("its weights are not here" in note for note in again.notes)
