"""Several processes of one machine that train a network together, for an engine's call.

An engine starts one process. That one starts the others as ``torchrun`` does, each with a shard of
every batch, and on a GPU of its own where there are GPUs (:mod:`robench.training.parallel`).
"""

import contextlib
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil

from robench.runs.pieces import Piece
from robench.runs.remote_work import Answer, do_remotely
from robench.runs.setup import Setup

CALL, ANSWER = "call.pickle", "answer.pickle"
"""Files in a folder that only this user may enter."""

PATIENCE = 20.0
"""Seconds that the processes get to end before they are killed."""


def do_together(setup: Setup, piece: Piece, sign: str) -> Answer:
    """Do a piece in ``setup.processes`` processes; its own errors are answers, and not raised.

    Args:
        setup: the run, whose store this machine sees.
        piece: a training.
        sign: the sign in the store.

    Raises:
        RuntimeError: if processes ended without an answer, as those do that are killed.
    """
    with tempfile.TemporaryDirectory(prefix="robench-") as name:
        folder = Path(name)
        (folder / CALL).write_bytes(pickle.dumps((replace(setup, processes=1), piece, sign)))
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
            str(setup.processes), "--module", __name__, name, str(os.getpid()),
        ]  # fmt: skip
        threads = str(piece.threads)
        with subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                _, said = process.communicate()
            finally:
                _end(process)
        if not (folder / ANSWER).exists():
            raise RuntimeError(f"its processes ended with {process.returncode}{_first_error(said)}")
        answer = pickle.loads((folder / ANSWER).read_bytes())
    assert isinstance(answer, Answer)
    return answer


def _first_error(said: str) -> str:
    """Return the first error that processes printed: torchrun's own summary comes after it."""
    found = re.search(r"^[\w.]+(?:Error|Exception): .*", said, re.MULTILINE)
    return f" ({found.group()})" if found else ""


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()


def main() -> None:
    """Do the part of this process, one of those that :func:`do_together` started."""
    from robench.runs.workers import join, shutdown, worker_loop
    from robench.system.devices import choose_device

    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    setup, piece, sign = pickle.loads((folder / CALL).read_bytes())
    device = choose_device(str(setup.device))
    if not join(device):
        worker_loop(device, setup.context().dataset)
        return
    answer = do_remotely(setup, piece, sign, None)
    shutdown()
    (folder / "answer").write_bytes(pickle.dumps(answer))
    (folder / "answer").rename(folder / ANSWER)


def _end_with(parent: int) -> None:
    """End this process as soon as the one that started it has ended: nobody waits for it then."""
    while psutil.pid_exists(parent):
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main()
