"""A Ray cluster of two hosts, which are two network namespaces of this machine; needs root.

    python -m campaigns.two_hosts --trials 4

The driver is on the one host, and all work is done on the other, which has an address, a name and
processes of its own. Every second time it does not see the run store. In each trial it is lost in
mid-run, with all that runs on it, and comes back. What is left must be that of one process.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaigns.lost_nodes import BOARD, MEMORY, ended, started
from campaigns.options import options
from campaigns.outcome import differences
from campaigns.stopping import until_stopped
from campaigns.tally import Tally

HOSTS = {"robench-a": "10.77.0.1", "robench-b": "10.77.0.2"}
HERE, THERE = HOSTS
PORT = 6385
TOKEN = {"RAY_AUTH_MODE": "token"}
"""Ray 2.60 refuses a node without a token that has another address than the head's."""
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats"]


@contextmanager
def hosts() -> Iterator[None]:
    """Make two hosts that are connected with each other and with nothing else.

    Raises:
        subprocess.CalledProcessError: without the right to, or without ``ip``.
    """
    try:
        _ip("link add robench-va type veth peer name robench-vb")
        for host, address in HOSTS.items():
            link = f"robench-v{host[-1]}"
            _ip(f"netns add {host}")
            _ip(f"link set {link} netns {host}")
            _ip(f"-n {host} addr add {address}/24 dev {link}")
            for name in (link, "lo"):
                _ip(f"-n {host} link set {name} up")
        yield
    finally:
        for host in HOSTS:
            lose(host)
            subprocess.run(["ip", "netns", "del", host], check=False, capture_output=True)


def lose(host: str) -> None:
    """Kill all that runs on a host."""
    pids = subprocess.run(
        ["ip", "netns", "pids", host], check=False, capture_output=True, text=True
    ).stdout
    for pid in pids.split():
        subprocess.run(["kill", "-9", pid], check=False, capture_output=True)


def head() -> None:
    """Start the cluster on the driver's host, where no piece is done."""
    _on(HERE, [
        *RAY, "--head", f"--port={PORT}", f"--node-ip-address={HOSTS[HERE]}", "--num-cpus=0",
        "--include-dashboard=false",
    ])  # fmt: skip


def join(hidden: Path | None) -> None:
    """Let the other host join the cluster.

    Args:
        hidden: a folder that it does not see.
    """
    command = [
        *RAY, f"--address={HOSTS[HERE]}:{PORT}", f"--node-ip-address={HOSTS[THERE]}",
        "--num-cpus=1", f"--memory={MEMORY}",
    ]  # fmt: skip
    hide = "" if hidden is None else f"mount -t tmpfs none '{hidden}' && "
    script = f'hostname {THERE} && {hide}exec "$@"'
    _on(THERE, ["unshare", "--uts", "--mount", "sh", "-c", script, "sh", *command])


def campaign(trials: int, seed: int, scratch: Path) -> Tally:
    """Run the board on the two hosts.

    Args:
        trials: the number of runs.
        seed: seed of the instants at which the other host is lost.
        scratch: a folder for boards and stores.
    """
    generator = random.Random(seed)
    (scratch / "tiny.toml").write_text(BOARD)
    start = time.monotonic()
    first = ended(started(scratch, scratch / "undisturbed", "--jobs", "1"))
    seconds = time.monotonic() - start
    assert first.code == 0, first.err
    tally = Tally()
    with hosts():
        head()
        for trial in until_stopped(range(trials)):
            out, sees = scratch / "out", trial % 2 == 0
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            hidden = None if sees else out
            join(hidden)
            process = started(
                scratch, out, "--executor", f"ray:{HOSTS[HERE]}:{PORT}",
                through=["ip", "netns", "exec", HERE], **TOKEN,
            )  # fmt: skip
            time.sleep(10.0 + generator.uniform(0.2, 0.8) * seconds)
            lose(THERE)
            join(hidden)
            failure = ended(process).wrong([0]) or differences(out, scratch / "undisturbed")
            lose(THERE)
            kind = "another host that sees the store" if sees else "one that does not see it"
            tally.add(kind, failure and f"trial {trial}: {failure}")
    return tally


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def _on(host: str, command: list[str]) -> None:
    subprocess.run(
        ["ip", "netns", "exec", host, *command],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", **TOKEN},
    )


def main() -> int:
    """Run the campaign and print its figures."""
    arguments = options("Lose one of two hosts.", 4).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tally = campaign(arguments.trials, arguments.seed, Path(scratch))
    print(tally.report("Two hosts"))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
