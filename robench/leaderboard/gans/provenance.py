"""Look at versions, devices and times of each GAN: only whether they can be as they say."""

from collections.abc import Iterator

from robench.leaderboard.audit.provenance import is_plain, record_problem, version_problem
from robench.leaderboard.gans.files import GanEvidence


def gan_provenance(one: GanEvidence) -> Iterator[str]:
    """Yield which versions, devices or times of a GAN cannot be, as the end of a sentence.

    Whether they are true cannot be told from the files.
    """
    for version in dict.fromkeys([one.version, *(each.version for each in one.file.measured)]):
        if problem := version_problem(version):
            yield problem
    for measured in one.file.measured:
        if not is_plain(measured.device):
            yield f"'{measured.device[:40]}' is no device"
            break
    manifest = one.file.manifest
    if manifest is None:
        return
    times = [manifest.training_seconds]
    if problem := record_problem(manifest.environment, manifest.peak_memory_mib, times):
        yield problem
