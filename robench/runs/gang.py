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
import torch

from robench.runs.pieces import Piece
from robench.runs.remote_work import Answer, do_remotely
from robench.runs.setup import Setup
from robench.runs.worker_process import Failed
from robench.system.out_of_memory import is_of_machine

CALL, FOUND, ANSWER = "call.pickle", "found.pickle", "answer.pickle"
"""Files in a folder that only this user may enter; a failure is found before it is the answer."""

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
    from robench.runs.workers import join, shutdown
    from robench.system.devices import choose_device

    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    setup, piece, sign = pickle.loads((folder / CALL).read_bytes())
    device = choose_device(str(setup.device))
    if not join(device):
        _follow(device, setup, folder)
        return
    answer = do_remotely(setup, piece, sign, None)
    _keep(answer, folder / (ANSWER if answer.failure is None else FOUND))
    shutdown()  # raises where another process is gone, of which the failure here may be a result
    if not (folder / ANSWER).exists():
        (folder / FOUND).rename(folder / ANSWER)


def _follow(device: torch.device, setup: Setup, folder: Path) -> None:
    """Do what rank 0 says; an error ends this process only after there is an answer, if possible.

    ``torchrun`` ends all processes as soon as one ends with an error, and what has no answer counts
    as lost with its machine.
    """
    from robench.runs.workers import leave_at_stop, worker_loop

    try:
        dataset = setup.context().dataset
    except Exception as error:
        if is_of_machine(error):
            raise
        # As final as an error of rank 0, which has met the same one or would wait in vain.
        _keep(Answer(failure=Failed.of(error)), folder / ANSWER)
        if not leave_at_stop():
            raise
        return
    try:
        worker_loop(device, dataset)
    except Exception:
        # If rank 0 has met the same error, it finds that in a moment.
        if not (_comes(folder / FOUND) and leave_at_stop()):
            raise


def _keep(answer: Answer, file: Path) -> None:
    own = file.with_suffix(f".{os.getpid()}")
    own.write_bytes(pickle.dumps(answer))
    own.rename(file)


def _comes(file: Path) -> bool:
    """Wait for a file; return whether it is there."""
    deadline = time.monotonic() + PATIENCE
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return file.exists()


def _end_with(parent: int) -> None:
    """End this process as soon as the one that started it has ended: nobody waits for it then."""
    while psutil.pid_exists(parent):
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main()
