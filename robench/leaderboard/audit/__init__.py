"""The audit of a published leaderboard against its own artifacts; no model is run.

``run`` calls the others, each of which compares one kind of artifact with what it must follow
from: ``cells`` (manifests), ``plan`` (the board's rows and seeds), ``attacks`` (threat models),
``names`` (of outcome files), ``lengths``, ``outcomes``, ``randomness`` and ``duplicates`` (what is
in them), ``challenges``, ``training_log``, ``divergence``, ``costs``, ``provenance``, ``checks``
(with ``findings``, ``figures`` and ``replayed``), ``weights``, ``readme``, ``tables``. ``notes``
(of attacks and outcomes) and ``unchecked`` say what the files alone do not let it compare.
"""

from robench.leaderboard.audit.notes import audit_notes
from robench.leaderboard.audit.run import Audit, audit, full_audit
from robench.leaderboard.audit.unchecked import unchecked

__all__ = ["Audit", "audit", "audit_notes", "full_audit", "unchecked"]
