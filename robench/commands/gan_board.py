"""``robench run`` and ``robench verify`` for boards of GANs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from robench.data import load_dataset
from robench.gan.board import GanBoard
from robench.leaderboard.bundle import bundle_of_gans
from robench.leaderboard.gans.audit import full_gan_audit, gan_unchecked
from robench.leaderboard.gans.publish import publish_gans
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.redraw import Redrawn, RedrawOptions, redraw, rows_with_generators
from robench.leaderboard.publish import published_alone
from robench.leaderboard.rerun import draw_fresh_seed, draw_titles
from robench.leaderboard.trust import trusted_code
from robench.progress import ignore_progress
from robench.runs.gan_board import run_gan_board
from robench.runs.placement import Placement
from robench.runs.progress import ProgressReporter
from robench.tracking.follow import followed


# More parameters than usual: they are the settings of one run.
def run_and_publish_gans(
    board: GanBoard,
    out: Path,
    name: str,
    *,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    inception: Path | None = None,
    reporter: ProgressReporter | None = None,
    placement: Placement = Placement(),  # noqa: B008 - it is frozen
    log: Sequence[str] = (),
) -> GanLeaderboard:
    """Run a board of GANs and publish it as ``out/name``.

    Args:
        board: the specification.
        out: the folder of the run store.
        name: the name of the leaderboard.
        data_dir: the folder where the data set is, or is downloaded to.
        device: the device to run on; the CPU by default.
        inception: the file of Inception's weights, if the board needs them.
        reporter: called with the progress of the run.
        placement: where the pieces of work are done.
        log: the trackers that follow it.

    Raises:
        UserError: see :func:`robench.runs.gan_board.run_gan_board`.
    """
    bundle = bundle_of_gans(board)  # as it is now: it may be edited while the board runs
    with followed(log, name, out, reporter) as run:
        result = run_gan_board(
            board,
            out=out,
            data_dir=data_dir,
            device=device,
            inception=inception,
            reporter=run,
            placement=placement,
            observer=run,
        )
    with published_alone(out / name):
        publish_gans(result, out / name, bundle)
        return GanLeaderboard.read(out / name)


@dataclass(frozen=True, eq=False)
class GanVerification:
    """The result for one board of GANs.

    Attributes:
        board: the board as read.
        problems: what is wrong, one sentence each.
        drawn: the titles of the rows that were drawn to be drawn and measured again.
        again: what came of it; None if the files are wrong.
        requested: whether the caller asked for rows.
        unchecked: what could not be checked, one sentence each.
        seed: the seed that the rows were drawn with.
    """

    board: GanLeaderboard
    problems: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    again: Redrawn | None = None
    requested: bool = False
    unchecked: tuple[str, ...] = ()
    seed: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.problems

    @property
    def unconfirmed(self) -> bool:
        """Whether rows were asked for, and no figure of one could be computed again."""
        return self.requested and self.again is not None and not len(self.again.figures)


# More parameters than usual: they are the options of the command.
def verify_gans(
    folder: Path,
    *,
    rows: str | None = None,
    seed: int | None = None,
    stores: tuple[Path, ...] = (),
    data: str | None = None,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    inception: Path | None = None,
    reporter: ProgressReporter | None = None,
    trust_code: bool = False,
) -> GanVerification:
    """Check a board of GANs against its files, and draw and measure some of its rows again.

    Args:
        folder: the folder of the published board.
        rows: how many rows are drawn at random, or ``all``; by default one, if its weights are
            here.
        seed: the seed for drawing them.
        stores: folders that runs wrote, for weights that the board does not publish.
        data: the data set, if it cannot be loaded by its name.
        data_dir: the folder where it is.
        device: where it computes; the CPU by default.
        inception: the file of Inception's weights, if the board was measured with them.
        reporter: called with the progress.
        trust_code: whether the code that came with the board may be executed.

    Raises:
        UserError: if the folder holds no such board, or the images are others than its own.
    """
    board = GanLeaderboard.read(folder)
    options = RedrawOptions(
        stores,
        partial(load_dataset, data or board.board.data.name, data_dir),
        inception,
        device or torch.device("cpu"),
        reporter.update if reporter else ignore_progress,
    )
    with trusted_code(board, trust=trust_code) as untrusted:
        audit = full_gan_audit(board)
        if audit.problems:
            return GanVerification(board, audit.problems)
        seed = draw_fresh_seed() if seed is None else seed
        among = rows_with_generators(board, stores) if rows is None else board.board.titles
        drawn = draw_titles(among, "1" if rows is None else rows, seed)
        again = redraw(board, drawn, options)
        left = (*filter(None, [untrusted]), *gan_unchecked(board, audit.copies), *again.notes)
    requested = rows is not None and len(drawn) > 0
    return GanVerification(board, again.problems, tuple(drawn), again, requested, left, seed)
