"""``robench run``: run a board and publish its leaderboard."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from robench.board.board import Board
from robench.board.overrides import Seeds, open_board, with_rows
from robench.errors import UserError
from robench.leaderboard.bundle import Bundle, bundle_of
from robench.leaderboard.evidence import BOARD
from robench.leaderboard.pictures import draw_pictures
from robench.leaderboard.publish import publish, published_alone, trained_networks
from robench.leaderboard.published import Leaderboard
from robench.runs.failures import GOES_ON, FailedCellsError
from robench.runs.placement import Placement
from robench.runs.progress import ProgressReporter
from robench.runs.records import BoardResult
from robench.runs.run import run_board
from robench.runs.store import RunStore
from robench.system.devices import choose_device
from robench.system.json_files import read_json
from robench.tracking.follow import followed


# More parameters than usual: they are the options of the command.
def run(
    board: str | Path = "quick",
    *,
    defenses: str | Sequence[str] | None = None,
    seeds: Seeds | None = None,
    changes: str | Sequence[str] = (),
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    executor: str = "local",
    resources: str | Path | None = None,
    log: str | Sequence[str] = (),
) -> Leaderboard:
    """Train, attack and rank the defenses of a board; finished cells are taken from the store.

    The parameters are the options of ``robench run``.

    Args:
        board: the name of a shipped board, a folder with a ``board.toml``, or a TOML file.
        defenses: rows that replace the board's, as a list or separated by commas; ``"all"`` for
            every defense.
        seeds: seeds that replace the board's: a number, several, or text such as ``"0,1,2"``.
        changes: ``"table.key=value"`` with a TOML value, such as ``"training.epochs=2"``, or
            several.
        out: folder of trained cells and leaderboards.
        data_dir: folder where the data set is, or is downloaded to.
        device: ``auto``, ``cpu``, ``cuda``, ...
        jobs: the number of pieces of work (trainings, attacks) that run at the same time, each in a
            process of its own; by default what suits the machine. Results do not depend on it.
        executor: where they are done: ``"local"``, ``"ray"``, ``"ray:ADDRESS"`` or ``"slurm"``.
        resources: a TOML file of what each job asks Slurm for.
        log: experiment trackers that follow the run: ``"tensorboard"``, ``"wandb"``, ``"mlflow"``,
            ``"csv"``, or several of them. What they keep here is in ``out/logs``.

    Returns:
        The leaderboard as published in ``out``: in the folder with the board's name, or in one
        beside it if rows, values or seeds of the board were changed.

    Raises:
        UserError: if the board names an unknown entry, before any work is done; or if the data
            cannot be read or the results cannot be written. If a cell failed, after the table of
            the rows without a failure was written, in a folder of its own.

    Example:
        >>> import robench
        >>> board = robench.run("quick", defenses="batchnorm")  # doctest: +SKIP
        >>> board.table[["defense", "clean_mean", "pgd-20_mean"]]  # doctest: +SKIP
    """
    placement = Placement(executor, jobs, None if resources is None else Path(resources))
    changed = (changes,) if isinstance(changes, str) else changes
    name, spec = open_board(str(board), rows=defenses, seeds=seeds, changes=changed)
    folder = None if data_dir is None else Path(data_dir)
    return run_and_publish(
        spec,
        Path(out),
        name,
        data_dir=folder,
        device=choose_device(device, here=placement.is_local),
        placement=placement,
        log=(log,) if isinstance(log, str) else log,
    )


# More parameters than usual: they are the settings of one run.
def run_and_publish(
    board: Board,
    out: Path,
    name: str,
    *,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
    placement: Placement = Placement(),  # noqa: B008 - it is frozen
    log: Sequence[str] = (),
) -> Leaderboard:
    """Run a board and publish it as ``out/name``; see :func:`run`.

    Args:
        board: the specification.
        out: folder of the run store.
        name: name of the leaderboard.
        data_dir: folder where the data set is, or is downloaded to.
        device: the device to run on; the CPU by default.
        reporter: progress reporter, called during the run.
        placement: where the pieces of work are done.
        log: the trackers that follow it.
    """
    _refuse_another(board.title, out / name)
    bundle = bundle_of(board)  # as it is now: it may be edited while the board runs
    run_it = partial(run_board, out=out, data_dir=data_dir, device=device, placement=placement)
    try:
        with followed(log, name, out, reporter) as run:
            result = run_it(board, reporter=run, observer=run)
    except FailedCellsError as error:
        if not error.evaluated:
            raise
        short, others = with_rows(name, board, error.evaluated)
        try:
            _publish(others, run_it(others, reporter=reporter), bundle_of(others), out, short)
        except UserError:  # less is to be said of it than of what failed first
            raise error from error.__cause__
        raise UserError(
            f"{error.cells}; the table of the other rows is in {out / short}; {GOES_ON}."
        ) from error
    return _publish(board, result, bundle, out, name)


def _refuse_another(title: str, folder: Path) -> None:
    """Refuse to publish a board in place of another one whose file has the same name.

    Raises:
        UserError: if the folder holds a board of another title.
    """
    try:
        there = str(read_json(folder / BOARD)["board"]["title"])
    except (UserError, TypeError, KeyError):  # there is none, or a damaged one, which is replaced
        return
    if there != title:
        raise UserError(
            f"{folder} holds another board, '{there}', which '{title}' would replace; rename the "
            f"board's file, give --out another folder, or remove {folder} if it is out of date "
            f"(trained networks are not in it)."
        )


def _publish(
    board: Board, result: BoardResult, bundle: Bundle, out: Path, name: str
) -> Leaderboard:
    store = RunStore(out / "cells")
    networks = trained_networks(result, store) if board.publish_weights else {}
    with published_alone(out / name):
        table = publish(result, out / name, bundle, networks)
        draw_pictures(result, table, out / name)
        return Leaderboard.read(out / name)
