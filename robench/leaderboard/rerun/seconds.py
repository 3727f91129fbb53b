"""How long a training took that was done again, beside what was published."""

from robench.leaderboard.published import PublishedCell
from robench.leaderboard.speedrun import hardware
from robench.runs.context import RunContext
from robench.runs.stored import read_manifest


def seconds_note(cell: PublishedCell, ctx: RunContext) -> str:
    """Return the seconds of both trainings and the hardware of each, one sentence.

    It is no verdict: another machine takes another time, and so does the same one when it is busy.

    Args:
        cell: the cell as published; its training did not diverge.
        ctx: the context of the rerun, whose store has the cell trained again.
    """
    assert cell.file.manifest is not None
    here, there = read_manifest(ctx.store.open(cell.file.cell)), cell.file.manifest
    return (
        f"its training took {here.training_seconds or 0:.2f} s here "
        f"({hardware([here.environment])}); {there.training_seconds or 0:.2f} s were published "
        f"({hardware([there.environment])})."
    )
