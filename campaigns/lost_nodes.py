"""Machines of a Ray cluster that are lost while they train and attack.

    python -m campaigns.lost_nodes --trials 20

The cluster is several Ray nodes on this machine. At random instants of a run one of them is killed
with all of its processes, and another takes its place. Weights, outcomes and tables must be those
of a run in one process.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from campaigns.forked import Ended
from campaigns.options import options
from campaigns.outcome import differences
from campaigns.stopping import until_stopped
from campaigns.tally import Tally

BOARD = """
title = "tiny"
defenses = ["batchnorm", "groupnorm"]
seeds = [0]

[data]
name = "digits"

[model]
name = "resnet18"
width = 4

[training]
epochs = 6
schedule = "one-cycle"
replays = 2
eps = 0.1
step_size = 0.1

[evaluation]
attacks = ["fgsm", "pgd-20(restarts=5)"]
samples = 100
checks = false

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""

NODES = 2
"""Machines that do pieces, each with one CPU."""

MEMORY = 4 * 2**30
"""Bytes that each says it has; what it really has is not looked at."""


def campaign(trials: int, seed: int, scratch: Path) -> Tally:
    """Run the board on a cluster that loses machines.

    Args:
        trials: the number of machines that are killed.
        seed: seed of the instants.
        scratch: a folder for boards and stores.
    """
    generator = random.Random(seed)
    (scratch / "tiny.toml").write_text(BOARD)
    start = time.monotonic()
    first = ended(started(scratch, scratch / "undisturbed", "--jobs", "1"))
    seconds = time.monotonic() - start
    assert first.code == 0, first.err
    cluster = Cluster()
    cluster.add_node(num_cpus=0)  # the driver's, which is not killed
    nodes = [cluster.add_node(num_cpus=1, memory=MEMORY) for _ in range(NODES)]
    tally = Tally()
    try:
        for trial in until_stopped(range(0, trials, 2)):
            out = scratch / "out"
            shutil.rmtree(out, ignore_errors=True)
            process = started(scratch, out, "--executor", f"ray:{cluster.address}")
            kills = 0
            for _ in range(2):
                time.sleep(generator.uniform(0.2, 0.6) * seconds)
                if process.poll() is not None:
                    break
                cluster.remove_node(nodes.pop(generator.randrange(NODES)), allow_graceful=False)
                nodes.append(cluster.add_node(num_cpus=1, memory=MEMORY))
                kills += 1
            failure = ended(process).wrong([0]) or differences(out, scratch / "undisturbed")
            for kill in range(kills):
                found = failure if kill == 0 else None
                tally.add("a machine is lost", found and f"trial {trial}: {found}")
    finally:
        cluster.shutdown()
        ray.shutdown()
    return tally


def started(
    folder: Path, out: Path, *arguments: str, through: Sequence[str] = (), **variables: str
) -> "subprocess.Popen[str]":
    """Start a run of the board.

    Args:
        folder: where the board is.
        out: the folder of the run.
        arguments: more arguments of ``robench run``.
        through: the beginning of a command that starts another.
        variables: more variables of its environment.
    """
    command = [sys.executable, "-m", "robench", "run", "tiny.toml", "--out", str(out), *arguments]
    return subprocess.Popen(
        [*through, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )


def ended(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a run, and return how it ended."""
    out, err = process.communicate(timeout=900)
    return Ended(process.returncode, out, err, 0.0)


def main() -> int:
    """Run the campaign and print its figures."""
    arguments = options("Lose machines of a Ray cluster.", 20).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tally = campaign(arguments.trials, arguments.seed, Path(scratch))
    print(tally.report("Lost machines"))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
