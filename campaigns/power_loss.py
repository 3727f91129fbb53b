"""Power fails: what was not synced is lost or torn, at each boundary of a sync.

    python -m campaigns.power_loss --trials 200

The calls of a run that change files are recorded and replayed on a model of a file system, which
keeps apart what is in memory and what is on the disk:

- what was written and not synced since is there, cut, or full of zeros;
- names that were made, replaced or removed in a folder that was not synced since are as before or
  as after, each by itself;
- what was synced is there.

Before and after each sync, in random order, such a state is put into a folder, and the same command
is run in it. It must end as an undisturbed run, or refuse in a sentence.
"""

import pickle
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from campaigns.calls import Call, Watch
from campaigns.forked import Ground, warmed_up
from campaigns.options import options
from campaigns.outcome import differences
from campaigns.stopping import until_stopped
from campaigns.tally import Tally


@dataclass
class File:
    """A file: what is on the disk, and what is in memory."""

    synced: bytes | None = None
    content: bytes = b""


@dataclass
class Disk:
    """A model of a file system.

    Attributes:
        names: path -> file, as processes see it.
        durable: path -> file, as the disk has it.
        folders: the folders, which are taken to be durable: robench syncs them at once.
    """

    names: dict[str, File] = field(default_factory=dict)
    durable: dict[str, File] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def apply(self, call: Call) -> None:
        """Do what a call did."""
        path = call.path
        if call.name == "mkdir":
            self.folders.add(path)
        elif call.name == "open" and path not in self.folders:
            self.names.setdefault(path, File())
        elif call.name == "write":
            self.names[path].content += call.data
        elif call.name in ("replace", "rename"):
            self.names[path] = self.names.pop(call.source)
        elif call.name == "unlink":
            self.names.pop(path, None)
        elif call.name == "rmdir":
            self.folders.discard(path)
        elif call.name == "fsync":
            self._sync(path)

    def _sync(self, path: str) -> None:
        if path in self.names:
            self.names[path].synced = self.names[path].content
            return
        for known in {*self.names, *self.durable}:
            if str(PurePosixPath(known).parent) == path:
                if known in self.names:
                    self.durable[known] = self.names[known]
                else:
                    del self.durable[known]

    def after_power_loss(self, generator: random.Random) -> dict[str, bytes]:
        """Return one of the states in which the disk may be found: path -> content."""
        found: dict[str, bytes] = {}
        for path in sorted({*self.names, *self.durable}):
            old, new = self.durable.get(path), self.names.get(path)
            file = generator.choice([old, new])
            if file is not None:
                found[path] = _torn(file, generator)
        return found


def _torn(file: File, generator: random.Random) -> bytes:
    if file.synced == file.content:
        return file.content
    kept = generator.randint(0, len(file.content))
    zeros = bytes(len(file.content) - kept)
    return generator.choice([file.synced or b"", file.content, file.content[:kept],
                             file.content[:kept] + zeros])  # fmt: skip


def recorded(ground: Ground) -> list[Call]:
    """Run a board and return its calls that succeeded."""
    out, file = ground.scratch / "recorded", ground.scratch / "calls.pickle"
    calls: list[Call] = []

    def note(call: Call) -> None:
        calls.append(call)
        if call.name in ("fsync", "unlink"):
            file.write_bytes(pickle.dumps(calls))

    ended = ground.run(out, Watch(out, lambda _: None, note).install)
    assert ended.code == 0, ended.err
    shutil.rmtree(out)
    found: list[Call] = pickle.loads(file.read_bytes())
    return found


def campaign(trials: int, seed: int, ground: Ground) -> Tally:
    """Put states after a power failure into folders and resume there.

    Args:
        trials: the number of states; if there are fewer boundaries, further states at each.
        seed: seed of the order of the boundaries and of what is lost.
        ground: what trials start from.
    """
    calls = recorded(ground)
    generator = random.Random(seed)
    boundaries = [place for place, call in enumerate(calls) if call.name == "fsync"]
    # Before a sync most is at risk; after it, the least.
    places = [place + after for place in boundaries for after in (0, 1)]
    generator.shuffle(places)
    tally = Tally()
    for trial in until_stopped(range(trials)):
        place = places[trial % len(places)]
        disk = Disk(folders={"."})
        for call in calls[:place]:
            disk.apply(call)
        out = ground.empty()
        materialize(disk, out, generator)
        ended = ground.run(out, _impatient)
        failure = ended.wrong([0, 2])
        if ended.code == 0:
            failure = failure or differences(out, ground.undisturbed)
        kind = "before a sync" if place in boundaries else "after a sync"
        kind += ", refused" if ended.code == 2 else ""
        tally.add(
            kind, failure and f"trial {trial}, call {place} ({calls[place - 1].path}): {failure}"
        )
    return tally


def _impatient() -> None:
    """Wait for nobody: a torn lease is that of the process that power took."""
    from robench.leaderboard import publish
    from robench.system import locks

    publish.PATIENCE = 0.0
    locks.LEASE_SECONDS = 0.5


def materialize(disk: Disk, out: Path, generator: random.Random) -> None:
    """Write what a disk holds after a power failure into a folder."""
    out.mkdir()
    for folder in sorted(disk.folders):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for path, content in disk.after_power_loss(generator).items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)


def main() -> int:
    """Run the campaign and print its figures."""
    arguments = options("Lose what was not synced, and resume.", 100).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tally = campaign(arguments.trials, arguments.seed, warmed_up(Path(scratch)))
    print(tally.report("Power loss"))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
