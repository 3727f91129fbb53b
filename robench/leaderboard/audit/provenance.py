"""Look at versions, devices and times of each cell: only whether they can be as they say."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from robench.leaderboard.published import Leaderboard
from robench.runs.records import Manifest
from robench.system.provenance import KNOWN

_VERSION = re.compile(r"[0-9a-f]{12}(\+dirty)?|\d[\w.+!-]{0,40}|absent")
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
        if record is not None and (problem := version_problem(record.version)):
            yield f"{name}: {problem}."
        if manifest is not None and (problem := _problem(manifest)):
            yield f"{name}: {problem}."


def version_problem(version: str) -> str | None:
    """Return why a version cannot be one, as the end of a sentence; None if it may be."""
    if _VERSION.fullmatch(version):
        return None
    return f"'{version[:40]}' is neither a commit nor a version of robench"


def is_plain(text: str) -> bool:
    """Return whether a version or device is short and visible."""
    return text.isprintable() and len(text) <= LONGEST


def record_problem(
    environment: Mapping[str, str], peak_memory_mib: float, times: Iterable[float | None]
) -> str | None:
    """Return what a run cannot have recorded of itself, as the end of a sentence, or None.

    Args:
        environment: versions and devices by name.
        peak_memory_mib: its peak memory.
        times: seconds of trainings and attacks; None where there are none.
    """
    for key, value in environment.items():
        if key not in KNOWN or not is_plain(value):
            return f"its environment has '{key[:40]}', which is no version or device"
    if not 0 <= peak_memory_mib < 2**40:
        return f"no process needs {str(peak_memory_mib)[:20]} MiB"
    for seconds in times:
        if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_SECONDS):
            return f"no training or attack takes {seconds:.3g} seconds"
    return None


def _problem(manifest: Manifest) -> str | None:
    entries = manifest.outcomes.values()
    times = [manifest.training_seconds, *(entry.seconds_of_group for entry in entries)]
    if problem := record_problem(manifest.environment, manifest.peak_memory_mib, times):
        return problem
    for entry in entries:
        if problem := version_problem(entry.version):
            return problem
        if entry.gradients not in ("float32", "bf16"):
            return f"the gradients of {entry.column[:40]} cannot be '{entry.gradients[:40]}'"
    return None
