"""Too little memory: does a command end in one sentence, and never with a wrong result?

    python -m campaigns.memory --trials 60

The address space of the process is limited (``RLIMIT_AS``) to what it takes after its imports and
some MiB more, in rising steps. A command must either succeed with the result that it has without a
limit, or exit with code 2 and one sentence; what it leaves behind must let the next one finish with
that result.
"""

import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from campaigns.forked import in_child
from campaigns.options import options
from campaigns.sample import PLUGIN, SMALL, small_board
from campaigns.stopping import until_stopped
from campaigns.tally import Tally

LEAST, MOST = 1.0, 1024.0
"""MiB beyond the imports, of the first and the last step."""

TIMEOUT = 900
"""Seconds after which a command counts as hanging."""

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["campaigns.preloaded"])


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, negative for a signal, and what it printed."""

    code: int
    out: str
    err: str


def robench(mib: float, *arguments: object) -> Ended:
    """Run a command with so many MiB beyond what its imports take; 0 for no limit.

    It is run in a fork of a process that has imported everything and run nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("out", "err")]
        words = [*map(str, arguments)]
        process = _SERVER.Process(target=in_child, args=(files, words, partial(_limit, mib)))
        process.start()
        process.join(TIMEOUT)
        process.kill()
        process.join()
        out, err = (path.read_text() if path.exists() else "" for path in files)
    assert process.exitcode is not None
    return Ended(process.exitcode, out, err)


def _limit(mib: float) -> None:
    """Limit the address space of this process to what it has and so many MiB more."""
    os.environ["COLUMNS"] = "200"
    if not mib:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + int(mib * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def fault(ended: Ended) -> str | None:
    """Return what is wrong with the end of a command that had too little memory."""
    if ended.code == 0:
        return None
    lines = ended.err.strip().splitlines()
    if "Traceback" in ended.err:
        return f"traceback: {lines[-1][:120]}"
    if ended.code < 0:
        return f"killed by signal {-ended.code}"
    said = [line for line in lines if line.startswith("robench: ")]
    if ended.code != 2 or not said:
        return f"exit code {ended.code}: {lines[-1][:120] if lines else ''}"
    return None


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of weights and outcomes of a published board: its results."""
    found = {}
    for path in sorted(folder.glob("manifests/*.json")):
        manifest = json.loads(path.read_text())["manifest"]
        found[path.name] = manifest["weights_hash"]
        for key, entry in manifest["outcomes"].items():
            found[f"{path.name}/{key}"] = entry["outcomes_hash"]
    return found


def half_written(folder: Path) -> list[Path]:
    """Return the temporary files that were left behind."""
    return [p for p in folder.rglob(".*") if p.is_file() and re.fullmatch(r"\..+\..{8}", p.name)]


class Commands:
    """The commands that are tried, with their results without a limit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.board = small_board(root)
        self.text = root / "small.toml"
        self.text.write_text(SMALL)
        [first, *_] = sorted(root.glob("cells/*/weights.safetensors"))
        own = ("--plugin", PLUGIN)
        self.others: dict[str, tuple[object, ...]] = {
            "verify": ("verify", self.board, "--rows", "0", *own),
            "attack": ("attack", first, "--attacks", "pgd-3", "--samples", "20", *own),
        }
        self.wanted = {name: robench(0, *words).out for name, words in self.others.items()}
        self.results = hashes(self.board)

    def trial(self, name: str, mib: float) -> str | None:
        """Run a command with so many MiB; return what is wrong."""
        if name == "run":
            with tempfile.TemporaryDirectory() as scratch:
                return self._run(Path(scratch), mib)
        ended = robench(mib, *self.others[name])
        if ended.code == 0 and ended.out != self.wanted[name]:
            return "another result than without a limit"
        return fault(ended)

    def _run(self, out: Path, mib: float) -> str | None:
        words = ("run", self.text, "--plugin", PLUGIN, "--out", out, "--device", "cpu")
        ended = robench(mib, *words)
        if left := half_written(out):
            return f"{left[0].name} was left behind"
        again = ended if ended.code == 0 else robench(0, *words)
        if again.code != 0 or hashes(out / "small") != self.results:
            return f"afterwards, without a limit: another result (exit code {again.code})"
        return fault(ended)


def main() -> None:
    """Run the campaign."""
    parser = options("Run commands with too little memory.", trials=60)
    chosen = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        commands = Commands(Path(scratch))
        names = ["verify", "attack", "run"]
        steps = max(1, (chosen.trials - 1) // len(names))
        for index in until_stopped(range(chosen.trials)):
            name, step = names[index % len(names)], index // len(names)
            mib = LEAST * (MOST / LEAST) ** (step / steps)
            wrong = commands.trial(name, mib)
            tally.add(name, None if wrong is None else f"{mib:.1f} MiB: {wrong}")
    print(tally.report("Commands that did not end as they should with too little memory"))
    sys.exit(tally.failed > 0)


if __name__ == "__main__":
    main()
