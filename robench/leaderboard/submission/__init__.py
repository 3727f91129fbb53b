"""Submissions: rows added to a leaderboard by pull request, and their validation.

``write`` writes the folder, ``external_network`` writes it for a third-party network, ``check`` is
what a maintainer runs on it. ``limits`` defines what an untrusted folder may hold; ``layout``,
``documents``, ``arrays`` and ``tensors`` validate its files in this order, without executing
anything, before any of them is loaded.
"""

from robench.leaderboard.submission.check import Checked, check_submission
from robench.leaderboard.submission.external_network import external_submission
from robench.leaderboard.submission.write import write_submission

__all__ = ["Checked", "check_submission", "external_submission", "write_submission"]
