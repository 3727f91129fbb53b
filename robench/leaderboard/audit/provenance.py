"""Look at versions, devices and times of each cell: only whether they can be as they say."""

import math
import re
from collections.abc import Iterator

from robench.leaderboard.published import Leaderboard
from robench.runs.records import Manifest
from robench.system.provenance import KNOWN

VERSION = re.compile(r"[0-9a-f]{12}(\+dirty)?|\d[\w.+!-]{0,40}|absent")
"""A commit, or the version of a package."""

LONGEST = 200
"""Characters of a version or device."""

LONGEST_SECONDS = 10 * 365 * 24 * 3600.0
"""No training or attack takes more than ten years."""


def provenance_problems(board: Leaderboard) -> Iterator[str]:
    """Yield which versions, devices or times cannot be, one sentence each.

    Whether they are true cannot be told from the files.
    """
    for cell in board.cells:
        name, manifest = f"'{cell.row}', seed {cell.seed}", cell.file.manifest
        record = manifest or cell.file.diverged
        if record is not None and not VERSION.fullmatch(record.version):
            yield f"{name}: '{record.version[:40]}' is neither a commit nor a version of robench."
        if manifest is not None and (problem := _problem(manifest)):
            yield f"{name}: {problem}"


def _problem(manifest: Manifest) -> str | None:
    for key, value in manifest.environment.items():
        if key not in KNOWN or not value.isprintable() or len(value) > LONGEST:
            return f"its environment has '{key[:40]}', which is no version or device."
    if not 0 <= manifest.peak_memory_mib < 2**40:
        return f"no process needs {str(manifest.peak_memory_mib)[:20]} MiB."
    times = [manifest.training_seconds, *(e.seconds_of_group for e in manifest.outcomes.values())]
    for seconds in times:
        if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_SECONDS):
            return f"no training or attack takes {seconds:.3g} seconds."
    for entry in manifest.outcomes.values():
        if not VERSION.fullmatch(entry.version):
            return f"'{entry.version[:40]}' is neither a commit nor a version of robench."
        if entry.gradients not in ("float32", "bf16"):
            return f"the gradients of {entry.column[:40]} cannot be '{entry.gradients[:40]}'."
    return None
