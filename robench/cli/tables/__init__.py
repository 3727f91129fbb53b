"""Console tables, drawn with Rich."""

from robench.cli.tables.boards import (
    flag_lines,
    leaderboard_table,
    plan_tables,
    states_table,
)
from robench.cli.tables.challenges import challenge_lines
from robench.cli.tables.checks import check_lines
from robench.cli.tables.compared import comparison_parts
from robench.cli.tables.entries import defenses_table, entries_table, entry_json, facts, info_parts
from robench.cli.tables.networks import (
    certified_table,
    cross_check_table,
    evaluation_table,
    networks_table,
    ratios_table,
    sizes_table,
    spectra_table,
)
from robench.cli.tables.progress import forecast_table, status_table
from robench.cli.tables.speedruns import speedrun_table
from robench.cli.tables.verification import (
    checked_lines,
    rerun_table,
    verification_lines,
)

__all__ = [
    "certified_table",
    "challenge_lines",
    "check_lines",
    "checked_lines",
    "comparison_parts",
    "cross_check_table",
    "defenses_table",
    "entries_table",
    "entry_json",
    "evaluation_table",
    "facts",
    "flag_lines",
    "forecast_table",
    "info_parts",
    "leaderboard_table",
    "networks_table",
    "plan_tables",
    "ratios_table",
    "rerun_table",
    "sizes_table",
    "spectra_table",
    "speedrun_table",
    "states_table",
    "status_table",
    "verification_lines",
]
