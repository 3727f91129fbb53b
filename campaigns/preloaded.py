"""Imports what commands need, and runs nothing: :mod:`campaigns.memory` forks its trials here."""

import robench.cli
import robench.cli.progress_bar
import robench.cli.tables
import robench.commands.attack
import robench.commands.attack_several
import robench.commands.run
import robench.commands.verify
import robench.data
import robench.leaderboard.rerun
from robench.registry import attacks, defenses

__all__ = ["robench"]

attacks.names()
defenses.names()
