"""Look at versions, devices and times of each GAN: only whether they can be as they say."""

import math
from collections.abc import Iterator

from robench.leaderboard.audit.provenance import LONGEST, LONGEST_SECONDS, VERSION
from robench.leaderboard.gans.files import GanEvidence
from robench.system.provenance import KNOWN


def gan_provenance(one: GanEvidence) -> Iterator[str]:
    """Yield which versions, devices or times of a GAN cannot be, as the end of a sentence.

    Whether they are true cannot be told from the files.
    """
    for version in dict.fromkeys([one.version, *(each.version for each in one.file.measured)]):
        if not VERSION.fullmatch(version):
            yield f"'{version[:40]}' is neither a commit nor a version of robench"
    for measured in one.file.measured:
        if not _is_plain(measured.device):
            yield f"'{measured.device[:40]}' is no device"
            break
    manifest = one.file.manifest
    if manifest is None:
        return
    for key, value in manifest.environment.items():
        if key not in KNOWN or not _is_plain(value):
            yield f"its environment has '{key[:40]}', which is no version or device"
            break
    if not 0 <= manifest.peak_memory_mib < 2**40:
        yield f"no process needs {str(manifest.peak_memory_mib)[:20]} MiB"
    seconds = manifest.training_seconds
    if not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_SECONDS):
        yield f"no training takes {seconds:.3g} seconds"


def _is_plain(text: str) -> bool:
    return text.isprintable() and len(text) <= LONGEST
