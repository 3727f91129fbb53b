"""What a person sees: progress bars and tables, by Rich."""

from robench.screen.boards import (
    flag_lines,
    leaderboard_table,
    plan_tables,
    rerun_table,
    states_table,
)
from robench.screen.entries import defenses_table, entries_table, facts
from robench.screen.networks import (
    cross_check_table,
    evaluation_table,
    ratios_table,
    spectra_table,
)
from robench.screen.watcher import ScreenWatcher

__all__ = [
    "ScreenWatcher",
    "cross_check_table",
    "defenses_table",
    "entries_table",
    "evaluation_table",
    "facts",
    "flag_lines",
    "leaderboard_table",
    "plan_tables",
    "ratios_table",
    "rerun_table",
    "spectra_table",
    "states_table",
]
