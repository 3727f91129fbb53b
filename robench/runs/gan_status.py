"""How far a run of a board of GANs is, as its store says; nothing is computed or written."""

from pathlib import Path

from robench.gan.board import GanBoard
from robench.gan.folder import read_divergence
from robench.runs.gan_plan import GanPlan, GanWork, plan_gans
from robench.runs.status import CellStatus, State, last_written
from robench.system.locks import holder_of


def gan_statuses(board: GanBoard, *, out: Path, data_dir: Path | None = None) -> list[CellStatus]:
    """Return how far each GAN of a board is, in the order of its rows and seeds.

    Args:
        board: the specification.
        out: the folder of the run store.
        data_dir: the folder where the data set is; its images are part of a GAN's identity.

    Raises:
        UserError: if the board or the data set is not valid, or a note in the store is damaged.
    """
    plan = plan_gans(board, out, data_dir)
    return [gan_status(each, plan) for each in plan.work]


def gan_status(work: GanWork, plan: GanPlan) -> CellStatus:
    """Return how far a GAN is.

    Raises:
        UserError: if what is stored of it is damaged.
    """
    folder = work.folder
    reason, step = "", 0
    state: State
    if folder.diverged.exists():
        state, reason = "diverged", read_divergence(folder)[0]
    elif plan.is_done(work):
        state = "done"
    elif folder.manifest.exists():
        state = "measuring"
    else:
        state = "training" if folder.spec.exists() else "waiting"
        step = steps_logged(folder.log)
    return CellStatus(
        row=work.row.title,
        seed=work.cell.seed,
        cell=work.cell.key,
        state=state,
        finished=step,
        of=work.cell.gan.steps if state == "training" else 0,
        reason=reason,
        written=last_written(folder.path),
        at_work=holder_of(folder.path),
        unit="steps",
    )


def steps_logged(log: Path) -> int:
    """Return the step of the last line of a log."""
    try:
        return int(log.read_text(encoding="utf-8").splitlines()[-1].partition(",")[0])
    except (OSError, ValueError, IndexError):  # there is none, or it is being written
        return 0
