"""The race of a board with a goal, on its page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.leaderboard.page.wording import MISSING, listed, percent
from robench.leaderboard.speedrun import REACHED, Standing, standings_of

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard


@dataclass(frozen=True)
class Runner:
    """A row of the race; all of it is text to be escaped.

    Attributes:
        place: its place; a dash if it has none.
        title: its name.
        seconds: of training, mean over the seeds.
        slowest: of the slowest seed.
        hardware: what it was trained on.
        figures: mean and worst seed, in percent, of each column of the goal.
        seeds: their number.
        commit: the code that trained it.
        flags: the checks that it failed.
        missed: what it misses; empty if it reaches the goal.
    """

    place: str
    title: str
    seconds: str
    slowest: str
    hardware: str
    figures: tuple[tuple[str, str], ...]
    seeds: int
    commit: str
    flags: str
    missed: str


@dataclass(frozen=True)
class Speedrun:
    """What the page shows of a race.

    Attributes:
        goal: what is to be reached, in words.
        seeds: the number of seeds that a place takes.
        columns: the columns of the goal.
        rows: those with a place first.
        several_machines: whether rows were trained on different hardware.
    """

    goal: str
    seeds: int
    columns: tuple[str, ...]
    rows: tuple[Runner, ...]
    several_machines: bool

    @property
    def some_miss(self) -> bool:
        """Whether a row has no place."""
        return any(row.missed for row in self.rows)


def speedrun(board: "Leaderboard") -> Speedrun | None:
    """Return the race of a board; None if it has no goal."""
    goal = board.board.goal
    if goal is None:
        return None
    found = standings_of(board.result, board.table)
    return Speedrun(
        goal=listed([f"{100 * least:.6g}% under {name}" for name, least in goal.accuracy.items()]),
        seeds=goal.seeds,
        columns=tuple(goal.accuracy),
        rows=tuple(map(_runner, found)),
        several_machines=len({row.hardware for row in found}) > 1,
    )


def _runner(row: Standing) -> Runner:
    return Runner(
        place=MISSING if row.place is None else str(row.place),
        title=row.title,
        seconds=_seconds(row.seconds),
        slowest=_seconds(row.slowest),
        hardware=row.hardware or MISSING,
        figures=tuple((percent(mean), percent(worst)) for mean, worst in row.accuracy.values()),
        seeds=row.seeds,
        commit=row.commit or MISSING,
        flags=row.flags,
        missed="" if row.verdict == REACHED else row.verdict,
    )


def _seconds(value: float) -> str:
    return MISSING if value != value else f"{value:,.2f}"
