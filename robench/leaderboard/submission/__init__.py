"""Submissions: rows that somebody adds to a leaderboard by pull request, and what is asked of them.

``write`` makes the folder, ``external`` makes it of somebody's own network, ``check`` is what a
maintainer runs on it. What a stranger's folder may hold is said in ``limits``; ``layout``,
``documents``, ``arrays`` and ``tensors`` look at its files in this order, without executing
anything, before any of them is loaded.
"""

from robench.leaderboard.submission.check import Checked, check_submission
from robench.leaderboard.submission.external_network import external_submission
from robench.leaderboard.submission.write import write_submission

__all__ = ["Checked", "check_submission", "external_submission", "write_submission"]
