"""The audit of a published leaderboard against its own artifacts; no model is run.

``run`` calls the others, each of which compares one kind of artifact with what it must follow
from: ``cells`` (manifests), ``plan`` (the board's rows and seeds), ``training_log``, ``costs``,
``provenance``, ``checks`` (with ``findings``, ``figures`` and ``replayed``), ``readme``, ``tables``.
``unchecked`` says what the files alone do not let it compare.
"""

from robench.leaderboard.audit.run import audit

__all__ = ["audit"]
